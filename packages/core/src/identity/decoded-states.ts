/** Payloads of trust states, each decoded once for all who are sent the same bytes. */

import type { Sha256 } from '../primitives.ts'
import { toBase64url } from '../bytes.ts'
import { signedBytes } from './signed-statement.ts'
import type { TrustState } from './trust-state.ts'
import { decodeTrustState } from './trust-state-codec.ts'

/** Two scopes, and as many followers as are a few states behind. */
const MOST = 16

export interface DecodedState {
  /** Null for bytes that are no trust state. */
  readonly state: TrustState | null
  /** SHA-256 of the signed bytes, base64url. */
  readonly digest: string
}

/** The 16 asked for last. Says nothing of trust: whoever asks has verified the bytes, or does so. */
export class DecodedStates {
  readonly #sha256: Sha256
  readonly #decoded = new Map<string, DecodedState>()

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  of(payload: Uint8Array): DecodedState {
    const digest = toBase64url(this.#sha256(signedBytes('trust-state', payload)))
    const known = this.#decoded.get(digest)
    if (known !== undefined) this.#decoded.delete(digest)
    const decoded = known ?? { state: decodeTrustState(payload, this.#sha256), digest }
    this.#decoded.set(digest, decoded)
    if (this.#decoded.size > MOST) this.#decoded.delete(this.#decoded.keys().next().value as string)
    return decoded
  }
}
