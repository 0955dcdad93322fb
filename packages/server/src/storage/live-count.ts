/** How many certificates live: counted now and then, because counting takes the longer the more there are. */

import type { EpochSeconds } from '@doorward/core'

/** What others on the same store release meanwhile is not known here. */
const COUNTED_SECONDS = 5

export class LiveCount {
  #most = 0
  #countedAt: EpochSeconds | null = null

  /** At most so many, as far as it is known here. */
  get most(): number {
    return this.#most
  }

  /** Whether to count again before it is judged by. */
  isDue(now: EpochSeconds, limit: number): boolean {
    const since = this.#countedAt === null ? Number.POSITIVE_INFINITY : Math.abs(now - this.#countedAt)
    return since >= COUNTED_SECONDS || this.#most >= limit
  }

  counted(count: number, now: EpochSeconds): void {
    this.#most = count
    this.#countedAt = now
  }

  /** One more may live. */
  add(): void {
    this.#most += 1
  }
}
