/** Who listens to the trust state, and how far each has come. */

import type { EpochMillis, TrustScope } from '@doorward/core'
import { followerKey } from './ceremony-audience.ts'
import type { Follower } from './ceremony-audience.ts'

export interface TrustAck extends Follower {
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

const MAX_SUBSCRIBERS = 20_000
const MAX_ACKS = 20_000
/** The other authorities on the store hear so often who follows here. */
export const presenceMilliseconds = 10_000
/** Who was not told of for so long follows nobody any more. */
export const heardMilliseconds = 3 * presenceMilliseconds

/** Bounded: a subscriber too many is refused, the oldest acknowledgement is forgotten. */
export class TrustAudience {
  readonly #subscribers = new Map<Deliver, Follower>()
  readonly #acks = new Map<string, TrustAck>()
  readonly #fresh = new Map<string, TrustAck>()
  readonly #maxSubscribers: number
  #presentAt: EpochMillis | null = null

  constructor(maxSubscribers = MAX_SUBSCRIBERS) {
    this.#maxSubscribers = maxSubscribers
  }

  /** The way to leave again, or null when there is no room. */
  subscribe(follower: Follower, deliver: Deliver): (() => void) | null {
    if (this.#subscribers.size >= this.#maxSubscribers) return null
    this.#subscribers.set(deliver, follower)
    return () => this.#subscribers.delete(deliver)
  }

  announce(scope: TrustScope, line: TrustLine): void {
    for (const [deliver, subscriber] of this.#subscribers) if (subscriber.scope === scope) deliver(line)
  }

  acknowledge(ack: TrustAck): void {
    const key = followerKey(ack)
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
    for (const follower of this.#subscribers.values()) {
      const key = followerKey(follower)
      const { delegation, sequence } = this.#acks.get(key) ?? { delegation: 0, sequence: 0 }
      fresh.set(key, { ...follower, delegation, sequence, at: now })
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

  /** Who is connected here now, each once however many connections it has. */
  connected(): readonly Follower[] {
    return [...new Map([...this.#subscribers.values()].map((one) => [followerKey(one), one])).values()]
  }

  /** Ids of those who follow a scope here now. */
  followers(scope: TrustScope): readonly string[] {
    return [...new Set([...this.#subscribers.values()].filter((one) => one.scope === scope).map(({ id }) => id))]
  }
}
