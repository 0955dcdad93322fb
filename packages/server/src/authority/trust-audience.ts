/** Who listens to the trust state, and how far each has come. */

import type { EpochMillis, TrustScope } from '@doorward/core'

export interface TrustAck {
  readonly id: string
  readonly scope: TrustScope
  readonly delegation: number
  readonly sequence: number
  readonly at: EpochMillis
}

/** Called with each line; must not block. */
export type Deliver = (line: TrustLine) => void

export interface TrustLine {
  readonly kind: 'state' | 'heartbeat'
  /** JSON without newline. */
  readonly text: string
}

interface Subscriber {
  readonly id: string
  readonly scope: TrustScope
}

const MAX_SUBSCRIBERS = 20_000
const MAX_ACKS = 20_000
/** The other authorities on the store hear so often who follows here. */
export const presenceMilliseconds = 10_000
/** Who was not told of for so long follows nobody any more. */
export const heardMilliseconds = 3 * presenceMilliseconds

/** Bounded: a subscriber too many is refused, the oldest acknowledgement is forgotten. */
export class TrustAudience {
  readonly #subscribers = new Map<Deliver, Subscriber>()
  readonly #acks = new Map<string, TrustAck>()
  readonly #fresh = new Map<string, TrustAck>()
  readonly #maxSubscribers: number
  #presentAt: EpochMillis | null = null

  constructor(maxSubscribers = MAX_SUBSCRIBERS) {
    this.#maxSubscribers = maxSubscribers
  }

  /** The way to leave again, or null when there is no room. */
  subscribe(id: string, scope: TrustScope, deliver: Deliver): (() => void) | null {
    if (this.#subscribers.size >= this.#maxSubscribers) return null
    this.#subscribers.set(deliver, { id, scope })
    return () => this.#subscribers.delete(deliver)
  }

  announce(scope: TrustScope, line: TrustLine): void {
    for (const [deliver, subscriber] of this.#subscribers) if (subscriber.scope === scope) deliver(line)
  }

  acknowledge(ack: TrustAck): void {
    const key = `${ack.scope} ${ack.id}`
    for (const acks of [this.#acks, this.#fresh]) {
      acks.delete(key)
      if (acks.size >= MAX_ACKS) acks.delete(acks.keys().next().value as string)
      acks.set(key, ack)
    }
  }

  /**
   * What the other authorities do not know yet: acknowledgements since the last call, and every 10 s everybody who follows
   * here, as far as they have come; version 0 for who has never said.
   */
  takeFresh(now: EpochMillis): readonly TrustAck[] {
    const fresh = new Map(this.#fresh)
    this.#fresh.clear()
    const since = this.#presentAt === null ? presenceMilliseconds : now - this.#presentAt
    // A clock that was set back must not silence the followers.
    if (since >= 0 && since < presenceMilliseconds) return [...fresh.values()]
    this.#presentAt = now
    for (const { id, scope } of this.#subscribers.values()) {
      const key = `${scope} ${id}`
      const { delegation, sequence } = this.#acks.get(key) ?? { delegation: 0, sequence: 0 }
      fresh.set(key, { id, scope, delegation, sequence, at: now })
    }
    return [...fresh.values()]
  }

  /** What was taken did not arrive: the next call says it all again. */
  untold(): void {
    this.#presentAt = null
  }

  acks(): readonly TrustAck[] {
    return [...this.#acks.values()]
  }

  /** Who follows a scope here now. */
  followers(scope: TrustScope): readonly string[] {
    return [...new Set([...this.#subscribers.values()].filter((one) => one.scope === scope).map(({ id }) => id))]
  }

  /** Subscribers of a scope that have not acknowledged `sequence`. */
  stragglers(scope: TrustScope, sequence: number): readonly string[] {
    return this.followers(scope).filter((id) => (this.#acks.get(`${scope} ${id}`)?.sequence ?? -1) < sequence)
  }
}
