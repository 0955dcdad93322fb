/** Reading entries in order, once or as they come, while a writer may be at work. Checks no signature. */

import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { DoorwardError, parsePayload, readFrame } from '@doorward/core'
import type { EntryEnvelope } from '@doorward/core'
import { absentLeaves } from './absent.ts'
import type { AbsentLeaf } from './absent.ts'
import { claimedCheckpointOf, headerOf, identityOf, readFrom, segmentsOf } from './log-folder.ts'
import type { SegmentOnDisk } from './log-folder.ts'

export interface LoggedEntry {
  readonly origin: string
  readonly index: number
  /** `kind`, `time` in milliseconds, `body`. */
  readonly entry: EntryEnvelope
}

/** An entry whose payload is gone. */
export interface AbsentEntry extends AbsentLeaf {
  readonly origin: string
}

export function isAbsent(found: LoggedEntry | AbsentEntry): found is AbsentEntry {
  return 'why' in found
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
 * Yields the entries of the log in `folder` whose payloads are there. Throws `log_not_found`, `entry_malformed`, and
 * `record_corrupt` where a covered entry is unreadable or missing.
 */
export async function* readEntries(folder: string, options: ReadOptions = {}): AsyncGenerator<LoggedEntry> {
  for await (const found of readAll(folder, options)) if (!isAbsent(found)) yield found
}

/** As `readEntries`, with those whose payloads are gone. */
export async function* readAll(folder: string, options: ReadOptions = {}): AsyncGenerator<LoggedEntry | AbsentEntry> {
  yield* new EntryCursor(folder, await identityOf(folder), options).advance()
}

/** Yields entries and waits for more until `signal` aborts; waits for the log itself too. Throws as `readEntries`. */
export async function* followEntries(folder: string, options: FollowOptions): AsyncGenerator<LoggedEntry> {
  for await (const found of followAll(folder, options)) if (!isAbsent(found)) yield found
}

/** As `followEntries`, with those whose payloads are gone. */
export async function* followAll(folder: string, options: FollowOptions): AsyncGenerator<LoggedEntry | AbsentEntry> {
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
  /** `#index` says where to go on, not `from`. */
  #began = false

  constructor(folder: string, { origin }: { readonly origin: string }, options: ReadOptions) {
    this.#folder = folder
    this.#origin = origin
    this.#options = options
  }

  get done(): boolean {
    return this.#index >= (this.#options.to ?? Number.MAX_SAFE_INTEGER)
  }

  async *advance(): AsyncGenerator<LoggedEntry | AbsentEntry> {
    const covered = (await claimedCheckpointOf(this.#folder))?.size ?? 0
    const { to = Number.MAX_SAFE_INTEGER, unsigned = false } = this.#options
    const end = Math.min(to, unsigned ? Number.MAX_SAFE_INTEGER : covered)
    while (this.#index < end) {
      const entered = await this.#enter(covered)
      if (entered === 'none') return
      if (entered !== 'segment') {
        yield* this.#absentUntil(Math.min(entered.first, end), covered)
        continue
      }
      const before = this.#index
      yield* this.#readSegment(end)
      if (this.#index > before || (await this.#nextExists())) continue
      if (this.#index < covered) throw this.#unreadable()
      return
    }
  }

  /** Entries before the first segment: they have expired. */
  async *#absentUntil(to: number, size: number): AsyncGenerator<AbsentEntry> {
    const from = this.#began ? this.#index : (this.#options.from ?? 0)
    this.#began = true
    this.#index = from
    for await (const leaf of absentLeaves(this.#folder, { from, to, size })) {
      this.#index = leaf.index + 1
      yield { origin: this.#origin, ...leaf }
    }
  }

  /** Finds the segment that holds the next entry, or where entries begin that are still held. */
  async #enter(covered: number): Promise<'segment' | 'none' | SegmentOnDisk> {
    const from = this.#began ? this.#index : (this.#options.from ?? 0)
    const segments = await segmentsOf(this.#folder)
    const found = segments.findLast(({ first }) => first <= from)
    const first = segments[0]
    if (found === undefined && first !== undefined && from < covered) return first
    if (found === undefined) {
      if (from < covered) throw this.#unreadable()
      return 'none'
    }
    if (found.path === this.#segment?.path) return 'segment'
    this.#offset = (await headerOf(found)).end
    this.#index = found.first
    this.#segment = found
    this.#began = true
    return 'segment'
  }

  async *#readSegment(end: number): AsyncGenerator<LoggedEntry | AbsentEntry> {
    const { from = 0 } = this.#options
    const start = this.#offset
    const bytes = await readFrom(this.#segment!.path, start)
    while (this.#index < end) {
      const read = readFrame(bytes, this.#offset - start, crc32)
      if (read.at !== 'frame' || read.frame.index !== this.#index) return
      this.#offset = start + read.end
      this.#index += 1
      const { index, time, payload, absent } = read.frame
      if (index < from) continue
      const origin = this.#origin
      yield absent === undefined
        ? { origin, index, entry: parsePayload(payload) }
        : { origin, index, time, why: absent.reason }
    }
  }

  async #nextExists(): Promise<boolean> {
    return (await segmentsOf(this.#folder)).some(({ first }) => first === this.#index && first !== this.#segment?.first)
  }

  #unreadable(): DoorwardError {
    return new DoorwardError('record_corrupt', `entry ${this.#index} cannot be read`, {
      where: `${this.#segment?.path ?? this.#folder}:${this.#offset}`,
      next: 'doorward audit fsck',
    })
  }
}
