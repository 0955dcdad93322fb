/** How often one thing may be entered into the record: what others can cause at will must not fill the disk. */

import type { EpochMillis } from '@doorward/core'

export interface EntryRateOptions {
  readonly windowMilliseconds: number
  /** Different things in one window. */
  readonly most: number
}

/** Once per window for each key, and no more than `most` keys in a window. */
export class EntryRate {
  readonly #options: EntryRateOptions
  readonly #seen = new Set<string>()
  #window = Number.NaN

  constructor(options: EntryRateOptions) {
    this.#options = options
  }

  /** True when it may be entered now; it counts as entered then. */
  take(key: string, now: EpochMillis): boolean {
    const window = Math.floor(now / this.#options.windowMilliseconds)
    if (window !== this.#window) this.#seen.clear()
    this.#window = window
    if (this.#seen.has(key) || this.#seen.size >= this.#options.most) return false
    this.#seen.add(key)
    return true
  }

  /** It could not be entered after all: the next one may. */
  giveBack(key: string): void {
    this.#seen.delete(key)
  }
}
