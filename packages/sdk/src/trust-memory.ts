/**
 * What several identities of one process need not each work out anew. Only results that depend on nothing but their
 * input are kept: whether a signature holds under a key, what bytes decode to, what a state's lists index to. Who trusts
 * what, until when, and which state replaces which stays with each identity.
 */

import { DecodedStates, importingOnce, toBase64url } from '@doorward/core'
import type { ImportP256, TrustState, VerifyKey } from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'
import { sha256 } from './platform/hash.ts'
import { importP256 } from './platform/p256.ts'
import { VerifiedChains } from './verified-chains.ts'

/** More than identities of one trust domain meet between two looks at the same one. */
const SIGNATURES = 256

export class TrustMemory {
  readonly importP256: ImportP256
  readonly chains = new VerifiedChains()
  /** Null where nobody else is sent the same bytes. */
  readonly states: DecodedStates | null
  readonly #views = new WeakMap<TrustState, TrustView>()

  private constructor(importKey: ImportP256, states: DecodedStates | null) {
    this.importP256 = importingOnce(importKey)
    this.states = states
  }

  /** Of one identity, which is told everything once: keys and chains alone. */
  static ofOne(underlying: ImportP256 = importP256): TrustMemory {
    return new TrustMemory(underlying, null)
  }

  /** Of several identities that follow the same trust domain. */
  static ofMany(underlying: ImportP256 = importP256): TrustMemory {
    const signatures = new Signatures()
    const remembering: ImportP256 = (jwk) => {
      const key = underlying(jwk)
      return key === null ? null : signatures.under(key, `${jwk.x} ${jwk.y}`)
    }
    return new TrustMemory(remembering, new DecodedStates(sha256))
  }

  /** An earlier view of the very same state, of whichever identity. */
  viewOf(state: TrustState): TrustView | undefined {
    return this.#views.get(state)
  }

  keep(view: TrustView): void {
    this.#views.set(view.state, view)
  }
}

/** The 256 verifications asked for last, whatever their outcome, by key and digests of both inputs. */
class Signatures {
  readonly #outcomes = new Map<string, boolean>()

  under(key: VerifyKey, name: string): VerifyKey {
    return {
      verify: (data, signature) => {
        const asked = `${name} ${toBase64url(sha256(data))} ${toBase64url(sha256(signature))}`
        const known = this.#outcomes.get(asked)
        if (known !== undefined) this.#outcomes.delete(asked)
        const holds = known ?? key.verify(data, signature)
        this.#outcomes.set(asked, holds)
        if (this.#outcomes.size > SIGNATURES) this.#outcomes.delete(this.#outcomes.keys().next().value as string)
        return holds
      },
    }
  }
}
