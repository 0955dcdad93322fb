/** A full disk: the reserve is given back, the record says that it is suspended, and says so when it goes on. */

import type { RecordEntry } from './record.ts'
import type { Reserve } from './reserve.ts'

/** Pause between attempts to make a reserve that is missing while the record works. */
const RESERVE_MILLISECONDS = 10_000

export interface SuspensionOptions {
  readonly reserve: Reserve
  /** Told once when there is no space for the reserve. */
  readonly onMissing: () => void
}

export class Suspension {
  readonly #options: SuspensionOptions
  #now: { readonly why: string; told: boolean } | null = null
  #refused = 0
  #timer: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: SuspensionOptions) {
    this.#options = options
  }

  get active(): boolean {
    return this.#now !== null
  }

  /** Makes the reserve beside everything else, now and until there is one. */
  begin(): void {
    void this.#make(true)
  }

  async #make(first: boolean): Promise<void> {
    const { reserve, onMissing } = this.#options
    if (this.#closed || this.active || reserve.held || (await reserve.make())) return
    if (first) onMissing()
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.#make(false), RESERVE_MILLISECONDS).unref()
  }

  /** Whether this failure is a full disk while there is a reserve: from now on the record is suspended. */
  starts(error: unknown): boolean {
    if (this.active || !this.#options.reserve.held) return false
    const why = fullDisk(error)
    if (why === null) return false
    this.#now = { why, told: false }
    this.#refused = 0
    return true
  }

  /** Counts appends that were refused meanwhile. */
  refused(count: number): void {
    if (this.active) this.#refused += count
  }

  /** Gives the reserve back, before anything else is written. */
  async giveBack(): Promise<void> {
    if (this.#now?.told === false) await this.#options.reserve.giveBack()
  }

  /**
   * Writes what is to be said, and resolves to whether the record goes on: `record.suspended` when it began, and
   * `record.resumed` once the reserve is there again. Rejects as `write` does, and is then to be called once more.
   */
  async settle(write: (entry: RecordEntry) => Promise<void>): Promise<boolean> {
    const now = this.#now
    if (now === null) return true
    if (!now.told) await write({ kind: 'lifecycle', body: { event: 'record.suspended', why: now.why } })
    now.told = true
    if (!(await this.#options.reserve.make())) return false
    await write({ kind: 'lifecycle', body: { event: 'record.resumed', refused: this.#refused } })
    this.#now = null
    return true
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}

/** Why there is no space: the code of the operating system; null for any other failure. */
function fullDisk(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if ('code' in at && (at.code === 'ENOSPC' || at.code === 'EDQUOT')) return at.code
  }
  return null
}
