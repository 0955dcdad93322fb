/** Reading entries in order, once or as they come, while a writer may be at work. Checks no signature. */

import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { DoorwardError, parsePayload, readFrame } from '@doorward/core'
import type { EntryEnvelope } from '@doorward/core'
import { claimedCheckpointOf, headerOf, identityOf, readFrom, segmentsOf } from './log-folder.ts'
import type { SegmentOnDisk } from './log-folder.ts'

export interface LoggedEntry {
  readonly origin: string
  readonly index: number
  /** `kind`, `time` in milliseconds, `body`. */
  readonly entry: EntryEnvelope
}

export interface ReadOptions {
  /** First index; default 0. */
  readonly from?: number
  /** End, exclusive; default no end. */
  readonly to?: number
  /**
   * Also what no checkpoint covers yet. Default false: such entries may still be unacknowledged, and vanish when the
   * disk fails. Use it for a log whose writer has died.
   */
  readonly unsigned?: boolean
}

export interface FollowOptions extends ReadOptions {
  readonly signal: AbortSignal
  /** Pause between looks; default 200. */
  readonly pollMilliseconds?: number
}

/**
 * Yields the entries of the log in `folder`. Throws `log_not_found`, `entry_malformed`, and `record_corrupt` where a
 * covered entry is unreadable or missing.
 */
export async function* readEntries(folder: string, options: ReadOptions = {}): AsyncGenerator<LoggedEntry> {
  yield* new EntryCursor(folder, await identityOf(folder), options).advance()
}

/** Yields entries and waits for more until `signal` aborts; waits for the log itself too. Throws as `readEntries`. */
export async function* followEntries(folder: string, options: FollowOptions): AsyncGenerator<LoggedEntry> {
  const { signal, pollMilliseconds = 200 } = options
  let cursor: EntryCursor | null = null
  while (!signal.aborted) {
    if (cursor === null && (await segmentsOf(folder)).length > 0) {
      cursor = new EntryCursor(folder, await identityOf(folder), options)
    }
    for await (const entry of cursor?.advance() ?? []) {
      yield entry
      if (signal.aborted) return
    }
    if (cursor?.done === true) return
    await sleep(pollMilliseconds, undefined, { signal }).catch(() => undefined)
  }
}

/** Remembers where the next entry begins, so that following reads every byte once. */
class EntryCursor {
  readonly #folder: string
  readonly #origin: string
  readonly #options: ReadOptions
  #segment: SegmentOnDisk | null = null
  #offset = 0
  #index = 0

  constructor(folder: string, { origin }: { readonly origin: string }, options: ReadOptions) {
    this.#folder = folder
    this.#origin = origin
    this.#options = options
  }

  get done(): boolean {
    return this.#index >= (this.#options.to ?? Number.MAX_SAFE_INTEGER)
  }

  async *advance(): AsyncGenerator<LoggedEntry> {
    const covered = (await claimedCheckpointOf(this.#folder))?.size ?? 0
    const { to = Number.MAX_SAFE_INTEGER, unsigned = false } = this.#options
    const end = Math.min(to, unsigned ? Number.MAX_SAFE_INTEGER : covered)
    while (this.#index < end) {
      if (!(await this.#enter(covered))) return
      const before = this.#index
      yield* this.#readSegment(end)
      if (this.#index > before || (await this.#nextExists())) continue
      if (this.#index < covered) throw this.#unreadable()
      return
    }
  }

  /** Finds the segment that holds the next entry; false when there is none yet. */
  async #enter(covered: number): Promise<boolean> {
    const from = this.#segment === null ? (this.#options.from ?? 0) : this.#index
    const segments = await segmentsOf(this.#folder)
    const found = segments.findLast(({ first }) => first <= from)
    if (found === undefined) {
      if (from < covered) throw this.#unreadable()
      return false
    }
    if (found.path === this.#segment?.path) return true
    this.#offset = (await headerOf(found)).end
    this.#index = found.first
    this.#segment = found
    return true
  }

  async *#readSegment(end: number): AsyncGenerator<LoggedEntry> {
    const { from = 0 } = this.#options
    const start = this.#offset
    const bytes = await readFrom(this.#segment!.path, start)
    while (this.#index < end) {
      const read = readFrame(bytes, this.#offset - start, crc32)
      if (read.at !== 'frame' || read.frame.index !== this.#index) return
      this.#offset = start + read.end
      this.#index += 1
      if (read.frame.index < from) continue
      yield { origin: this.#origin, index: read.frame.index, entry: parsePayload(read.frame.payload) }
    }
  }

  async #nextExists(): Promise<boolean> {
    return (await segmentsOf(this.#folder)).some(({ first }) => first === this.#index && first !== this.#segment?.first)
  }

  #unreadable(): DoorwardError {
    return new DoorwardError('record_corrupt', `entry ${this.#index} cannot be read`, {
      where: `${this.#segment?.path ?? this.#folder}:${this.#offset}`,
      next: 'run the verifier on this log',
    })
  }
}
