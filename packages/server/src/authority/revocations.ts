/** Denials as operators make and see them, and how far each has come. */

import type { TrustScope } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { Denial, Revoked } from './ports.ts'
import type { Follower } from './ceremony-audience.ts'
import { receivers } from './receivers.ts'
import type { Receivers } from './receivers.ts'
import { isAuthorityRefusal } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { revoke } from './revoke.ts'
import type { RevocationRequest } from './revoke.ts'
import type { TrustAudience } from './trust-audience.ts'
import type { TrustPublisher } from './trust-publisher.ts'

export interface RevocationsParts {
  readonly context: AuthorityContext
  readonly publisher: Pick<TrustPublisher, 'current' | 'publish'>
  readonly audience: Pick<TrustAudience, 'connected' | 'acks'>
  /** Puts keys in place of own ones that are denied, with everything that has to follow; true when that was published. */
  readonly settleKeys: () => Promise<boolean>
}

/** The first states that show a denial. */
export type Marks = Readonly<Record<TrustScope, { readonly delegation: number; readonly sequence: number }>>

export interface Revocation extends Revoked {
  readonly marks: Marks
}

export class Revocations {
  readonly #parts: RevocationsParts
  /** The newest denial of an authority's key cuts everybody off: those must come back, to be heard of at all. */
  #cutOff: { readonly marks: Marks; readonly followers: readonly Follower[] } | null = null

  constructor(parts: RevocationsParts) {
    this.#parts = parts
  }

  /** Denies and publishes. Refusals as `revoke`. */
  async revoke(request: RevocationRequest): Promise<Revocation | AuthorityRefusal> {
    const { context, publisher, audience, settleKeys } = this.#parts
    const followers = audience.connected()
    const revoked = await revoke({ context, settleKeys, publish: () => publisher.publish() }, request)
    if (isAuthorityRefusal(revoked)) return revoked
    const { state, callers } = publisher.current()
    const marks = {
      full: { delegation: state.delegation, sequence: state.sequence },
      callers: { delegation: callers.state.delegation, sequence: callers.state.sequence },
    }
    if (request.subject.kind === 'authority') this.#cutOff = { marks, followers }
    return { ...revoked, marks }
  }

  /** What is denied now. */
  list(): Promise<readonly Denial[]> {
    const { context } = this.#parts
    return context.store.denials.list(nowSeconds(context))
  }

  receivers(marks: Marks): Promise<Receivers> {
    const { context, audience } = this.#parts
    const isThat = this.#cutOff?.marks.full.sequence === marks.full.sequence
    const expected = isThat ? (this.#cutOff?.followers ?? []) : []
    return receivers(context, audience, { marks, expected })
  }
}
