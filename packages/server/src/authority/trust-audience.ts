/** Who listens to the trust state, and how far each has come. */

import type { EpochMillis } from '@doorward/core'

export interface TrustAck {
  readonly id: string
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

const MAX_SUBSCRIBERS = 1024
const MAX_ACKS = 20_000

/** Bounded: a subscriber too many is refused, the oldest acknowledgement is forgotten. */
export class TrustAudience {
  readonly #subscribers = new Map<Deliver, string>()
  readonly #acks = new Map<string, TrustAck>()

  /** The way to leave again, or null when there is no room. */
  subscribe(id: string, deliver: Deliver): (() => void) | null {
    if (this.#subscribers.size >= MAX_SUBSCRIBERS) return null
    this.#subscribers.set(deliver, id)
    return () => this.#subscribers.delete(deliver)
  }

  announce(line: TrustLine): void {
    for (const deliver of this.#subscribers.keys()) deliver(line)
  }

  acknowledge(ack: TrustAck): void {
    this.#acks.delete(ack.id)
    if (this.#acks.size >= MAX_ACKS) this.#acks.delete(this.#acks.keys().next().value as string)
    this.#acks.set(ack.id, ack)
  }

  acks(): readonly TrustAck[] {
    return [...this.#acks.values()]
  }

  /** Subscribers that have not acknowledged `sequence`. */
  stragglers(sequence: number): readonly string[] {
    const behind = [...this.#subscribers.values()].filter((id) => (this.#acks.get(id)?.sequence ?? -1) < sequence)
    return [...new Set(behind)]
  }
}
