/** Refusals of strangers: one counted entry per source, reason and second, so that nobody can fill the disk. */

import { setTimeout as sleep } from 'node:timers/promises'
import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { Record } from './record.ts'

export interface RefusalCounterOptions {
  readonly record: Record
  readonly clock: Clock
  /** The most entries written per second; default 64. Further sources are counted together as `other`. */
  readonly entriesPerSecond?: number
  /** The most refusals per second that may be recorded singly, half of them of one source; default 8. */
  readonly singlesPerSecond?: number
  /** Pause between writes; default 1000. */
  readonly intervalMilliseconds?: number
}

/** Body of a `refusals` entry. `second` is in seconds since the epoch; `source` may be `other`. */
interface RefusalCount {
  readonly source: string
  readonly reason: string
  readonly second: number
  count: number
}

const ENTRIES_PER_SECOND = 64
const SINGLES_PER_SECOND = 8
const MAX_TEXT = 128
/** Everything that has no cell of its own; reasons come from a table and are few, sources are the strangers' to choose. */
const OTHER = 'other'

/** Holds at most twice `entriesPerSecond` counts. Every refusal is counted somewhere, none is dropped. */
export class RefusalCounter {
  readonly #options: RefusalCounterOptions
  readonly #budget: number
  readonly #cells = new Map<string, RefusalCount>()
  readonly #others = new Map<string, RefusalCount>()
  readonly #singles = { second: 0, taken: 0, sources: new Map<string, number>() }

  constructor(options: RefusalCounterOptions) {
    this.#options = options
    this.#budget = Math.max(1, options.entriesPerSecond ?? ENTRIES_PER_SECOND)
  }

  /** Counts one refusal. Never waits, never fails. `source` is an address or an unproven name. */
  count({ source, reason }: { readonly source: string; readonly reason: string }): void {
    const second = toSeconds(this.#options.clock())
    this.#add({ source: source.slice(0, MAX_TEXT), reason: reason.slice(0, MAX_TEXT), second, count: 1 })
  }

  /** Whether a refusal of this source may have an entry of its own instead of being counted; taken when true. */
  takeSingle(source: string): boolean {
    const singles = this.#singles
    const second: number = toSeconds(this.#options.clock())
    if (singles.second !== second) {
      singles.sources.clear()
      Object.assign(singles, { second, taken: 0 })
    }
    const budget = this.#options.singlesPerSecond ?? SINGLES_PER_SECOND
    const own = singles.sources.get(source) ?? 0
    if (singles.taken >= budget || own >= Math.ceil(budget / 2)) return false
    singles.sources.set(source, own + 1)
    singles.taken++
    return true
  }

  #add(refusal: RefusalCount): void {
    const own = this.#cells.get(keyOf(refusal))
    if (own !== undefined) own.count += refusal.count
    else if (this.#cells.size < this.#budget) this.#cells.set(keyOf(refusal), refusal)
    else this.#addToOther(refusal)
  }

  // Until they are written, seconds are folded together too: the first `other` of a reason takes all.
  #addToOther(refusal: RefusalCount): void {
    const full = this.#others.size >= this.#budget - 1
    const reason = this.#others.has(refusal.reason) || !full ? refusal.reason : OTHER
    const folded = this.#others.get(reason)
    if (folded !== undefined) folded.count += refusal.count
    else this.#others.set(reason, { ...refusal, source: OTHER, reason })
  }

  /**
   * Writes the counts of past seconds, or all of them, at most the budget. What cannot be written stays counted
   * and is tried again with the next call. Resolves to whether everything due was written.
   */
  async flush(all = false): Promise<boolean> {
    const now = toSeconds(this.#options.clock())
    const due = [...this.#cells.values(), ...this.#others.values()].filter((cell) => all || cell.second < now)
    const written = await Promise.all(due.slice(0, this.#budget).map((cell) => this.#write(cell)))
    return due.length <= this.#budget && written.every(Boolean)
  }

  async #write(cell: RefusalCount): Promise<boolean> {
    // By identity: a cell of the same name may have begun since.
    if (this.#cells.get(keyOf(cell)) === cell) this.#cells.delete(keyOf(cell))
    if (this.#others.get(cell.reason) === cell) this.#others.delete(cell.reason)
    try {
      await this.#options.record.append({ kind: 'refusals', body: { ...cell } })
      return true
    } catch {
      // The record says by itself that it fails; here only the count must not be lost.
      this.#add(cell)
      return false
    }
  }

  /** Writes once a second until `signal` aborts, then writes what is left once. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#options.intervalMilliseconds ?? 1000, undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) await this.flush()
    }
    // Two rounds hold everything: the budget is half of what can be counted.
    if (!(await this.flush(true))) await this.flush(true)
  }
}

function keyOf({ source, reason, second }: RefusalCount): string {
  return JSON.stringify([second, reason, source])
}
