/** What was used once, of one process: a bounded table. */

import type { EpochMillis } from '@doorward/core'
import type { ReplayGuard } from '@doorward/enforcement'

export interface MemoryReplayGuardOptions {
  readonly now: () => EpochMillis
  /** Ids held at once; 100,000 by default. */
  readonly capacity?: number
}

const CAPACITY = 100_000
/** A full table is swept at most this often: refusing is cheap, sweeping is not. */
const SWEEP_MILLISECONDS = 1000

/** Atomic because it never awaits between reading and writing. Nothing survives the process. */
export class MemoryReplayGuard implements ReplayGuard {
  readonly #now: () => EpochMillis
  readonly #capacity: number
  readonly #used = new Map<string, EpochMillis>()
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor({ now, capacity = CAPACITY }: MemoryReplayGuardOptions) {
    this.#now = now
    this.#capacity = capacity
  }

  get size(): number {
    return this.#used.size
  }

  async consume(id: string, until: EpochMillis): Promise<'fresh' | 'seen' | 'full'> {
    const now = this.#now()
    const known = this.#used.get(id)
    if (known !== undefined && known >= now) return 'seen'
    if (known === undefined && !this.#hasRoom(now)) return 'full'
    this.#used.set(id, until)
    return 'fresh'
  }

  #hasRoom(now: EpochMillis): boolean {
    if (this.#used.size < this.#capacity) return true
    if (now - this.#sweptAt < SWEEP_MILLISECONDS) return false
    this.#sweptAt = now
    for (const [id, until] of this.#used) if (until < now) this.#used.delete(id)
    return this.#used.size < this.#capacity
  }
}
