/** Rate limits of one process: a bounded table of GCRA cells. */

import { chargeCell, takeCell } from '@doorward/core'
import type { RateLimiter, Take, TakeResult } from './ports.ts'

export interface MemoryRateLimiterOptions {
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** Keys held at once; 50,000 by default. */
  readonly capacity?: number
}

const CAPACITY = 50_000
/** A full table is swept at most this often: refusing is cheap, sweeping is not. */
const SWEEP_MILLISECONDS = 1000

/** Atomic because it never awaits between reading and writing. Nothing survives the process. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #monotonic: () => number
  readonly #capacity: number
  readonly #arrivals = new Map<string, number>()
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor(options: MemoryRateLimiterOptions) {
    this.#monotonic = options.monotonic
    this.#capacity = options.capacity ?? CAPACITY
  }

  async take(takes: readonly Take[]): Promise<TakeResult> {
    const now = this.#monotonic()
    // Plain loops: this runs twice for every request.
    const keys: string[] = []
    const arrivals: number[] = []
    let unknown = -1
    for (let index = 0; index < takes.length; index++) {
      const take = takes[index]!
      const key = cellKey(take)
      const pending = keys.lastIndexOf(key)
      const known = pending < 0 ? this.#arrivals.get(key) : arrivals[pending]
      const cell = takeCell(known, now, take.rate, take.weight)
      if (!cell.ok) return { ok: false, scope: take.scope, index, retryAfterSeconds: cell.retryAfterSeconds }
      if (known === undefined && unknown < 0) unknown = index
      keys.push(key)
      arrivals.push(cell.arrival)
    }
    if (unknown >= 0 && !this.#hasRoom(keys.length, now))
      return { ok: false, scope: takes[unknown]!.scope, index: unknown, retryAfterSeconds: 1 }
    for (let i = 0; i < keys.length; i++) this.#arrivals.set(keys[i]!, arrivals[i]!)
    return { ok: true }
  }

  async charge(takes: readonly Take[]): Promise<boolean> {
    const now = this.#monotonic()
    let owes = false
    for (const take of takes) {
      const key = cellKey(take)
      const known = this.#arrivals.get(key)
      // Whoever has no place was let in by a take that had one: it has come back whole meanwhile.
      if (known === undefined && !this.#hasRoom(1, now)) owes = true
      else {
        const arrival = chargeCell(known, now, take.rate, take.weight ?? 1)
        this.#arrivals.set(key, arrival)
        if (arrival - now > take.rate.periodSeconds * 1000) owes = true
      }
    }
    return !owes
  }

  get size(): number {
    return this.#arrivals.size
  }

  #hasRoom(keys: number, now: number): boolean {
    if (this.#arrivals.size + keys <= this.#capacity) return true
    if (now - this.#sweptAt < SWEEP_MILLISECONDS) return false
    this.#sweptAt = now
    for (const [known, arrival] of this.#arrivals) if (arrival <= now) this.#arrivals.delete(known)
    return this.#arrivals.size + keys <= this.#capacity
  }
}

/** Different rates on one key are different cells. */
function cellKey(take: Take): string {
  return `${take.scope} ${take.rate.count}/${take.rate.periodSeconds} ${take.key}`
}
