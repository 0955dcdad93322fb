/** What a call takes up while it is under way: places among its caller's calls, and bytes of its quotas. */

import type { RateLimiter, Take } from './ports.ts'

/** How often each caller is under way in each quota. Bounded by the calls under way: what falls to none is forgotten. */
export class CallPlaces {
  readonly #counts = new Map<string, number>()

  get size(): number {
    return this.#counts.size
  }

  under(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  enter(key: string): void {
    this.#counts.set(key, this.under(key) + 1)
  }

  leave(key: string): void {
    const left = this.under(key) - 1
    if (left > 0) this.#counts.set(key, left)
    else this.#counts.delete(key)
  }
}

export interface CallHoldParts {
  readonly places: CallPlaces
  /** Keys of the places that it has. */
  readonly keys: readonly string[]
  readonly limiter: RateLimiter
  /** Quotas of bytes, without weight. */
  readonly bytes: readonly Take[]
}

/** Bytes of an answer are counted in pieces of this size, and the rest at its end. */
const PIECE_BYTES = 64 * 1024

/** Whoever gets one gives it back, by `release`, when the answer has ended. */
export class CallHold {
  readonly #parts: CallHoldParts
  #uncounted = 0
  #released = false
  #onExhausted: (() => void) | null = null

  constructor(parts: CallHoldParts) {
    this.#parts = parts
    for (const key of parts.keys) parts.places.enter(key)
  }

  /** Called, at most once, when the answer is longer than the caller's quota: then it must end. */
  set onExhausted(listener: () => void) {
    this.#onExhausted = listener
  }

  /** Counts bytes of the answer. */
  sent(bytes: number): void {
    if (this.#parts.bytes.length === 0) return
    this.#uncounted += bytes
    if (this.#uncounted >= PIECE_BYTES) void this.#count()
  }

  /** The answer has ended. Further calls do nothing. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#onExhausted = null
    const { places, keys } = this.#parts
    for (const key of keys) places.leave(key)
    if (this.#uncounted > 0) void this.#count()
  }

  async #count(): Promise<void> {
    const weight = this.#uncounted
    this.#uncounted = 0
    const { limiter, bytes } = this.#parts
    const free = await limiter.charge(bytes.map((take) => ({ ...take, weight }))).catch(() => false)
    if (free) return
    const listener = this.#onExhausted
    this.#onExhausted = null
    listener?.()
  }
}
