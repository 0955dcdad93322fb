/** One log's journal from any index on, in chunks of bounded size. Checks no signature. */

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  DoorwardError,
  FRAME_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  SEGMENTS_FOLDER,
  isDoorwardError,
  readFrame,
  segmentName,
} from '@doorward/core'
import type { EpochMillis, FrameRead, JournalFrame } from '@doorward/core'
import { absentLeaves } from './absent.ts'
import type { AbsentWhy } from './absent.ts'
import { headerOf, readFrom, segmentsOf, whenThere } from './log-folder.ts'
import type { SegmentOnDisk } from './log-folder.ts'
import { SegmentMarks } from './log-set-marks.ts'

/**
 * An entry as the journal has it. `frame` is null where the payload is no longer here, because it has expired or was
 * redacted: its leaf still stands in the tree, and says when it was written.
 */
export interface JournalEntry {
  readonly index: number
  readonly time: EpochMillis
  readonly frame: JournalFrame | null
  /** Null where the payload is here. */
  readonly why: AbsentWhy | null
  /** Null where the journal no longer has a frame for it. */
  readonly place: JournalPlace | null
}

/** Where a frame begins: its segment, by the first entry of it, and the byte. */
export interface JournalPlace {
  readonly segment: number
  readonly offset: number
}

const CHUNK_BYTES = 2 * (FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES)
/** More than most entries have. */
const USUAL_BYTES = 4096

/** Remembers where the next entry begins, so that going on reads every byte once. */
export class JournalReader {
  readonly #folder: string
  readonly #marks: SegmentMarks
  /** The next entry. */
  #index: number
  #segment: SegmentOnDisk | null = null
  /** The frame at `#offset` of the segment is this one: at most `#index`. */
  #at = 0
  #offset = 0

  /** `marks` may be kept for other readers of the same log. */
  constructor(folder: string, from = 0, marks: SegmentMarks = new SegmentMarks()) {
    this.#folder = folder
    this.#index = from
    this.#marks = marks
  }

  /** The entry that is read next. */
  get index(): number {
    return this.#index
  }

  /**
   * Yields the entries up to `to`, exclusive, at most the `size` that a checkpoint covers. Throws `record_corrupt` where
   * one is unreadable, and `tile_missing` where neither payload nor leaf is there.
   */
  async *advance(to: number, size = to): AsyncGenerator<JournalEntry> {
    while (this.#index < to) {
      try {
        yield* this.#step(to, size)
      } catch (error) {
        // The segment has expired meanwhile: where entries go on is looked for anew.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || this.#segment === null) throw error
        this.#segment = null
      }
    }
  }

  async *#step(to: number, size: number): AsyncGenerator<JournalEntry> {
    const absent = Math.min(to, await this.#enter())
    if (absent > this.#index) {
      yield* this.#leavesUntil(absent, size)
      return
    }
    const before = this.#at
    yield* this.#readChunk(to)
    if (this.#at === before) await this.#leave()
  }

  /** Finds the segment of the next entry. Returns where entries are in the journal again: beyond the next one, they are not. */
  async #enter(): Promise<number> {
    if (this.#segment !== null) return this.#index
    const segments = await segmentsOf(this.#folder)
    const found = segments.findLast(({ first }) => first <= this.#index)
    if (found !== undefined) await this.#open(found)
    if (found !== undefined && !(await this.#endsBefore())) return this.#index
    const later = segments.find(({ first }) => first > this.#index)
    // Whole segments may expire, but never the last one: a journal that ends too early was cut.
    if (later === undefined) throw this.#unreadable()
    this.#segment = null
    return later.first
  }

  async #open(segment: SegmentOnDisk): Promise<void> {
    const mark = this.#marks.nearest(segment.first, this.#index)
    this.#segment = segment
    this.#at = mark?.index ?? segment.first
    this.#offset = mark?.offset ?? (await headerOf(segment)).end
  }

  /** True when the segment that was opened ends, without damage, before the next entry: its own segment is gone. */
  async #endsBefore(): Promise<boolean> {
    while (this.#at < this.#index) {
      const bytes = await this.#chunk()
      if (bytes.length === 0) return true
      const before = this.#at
      this.#skip(bytes)
      if (this.#at === before) throw this.#unreadable()
    }
    return (await this.#chunk(1)).length === 0
  }

  #chunk(limit = CHUNK_BYTES): Promise<Uint8Array> {
    return readFrom(this.#segment!.path, this.#offset, limit)
  }

  #skip(bytes: Uint8Array): void {
    const start = this.#offset
    while (this.#at < this.#index) {
      const offset = this.#offset - start
      // Nobody sees what is skipped: its length is all that counts, and a wrong one shows at the next frame.
      const read = offset + 4 <= bytes.length ? readFrame(bytes, offset, () => crcAt(bytes, offset)) : null
      if (read === null || !this.#pass(read, start)) return
    }
  }

  #pass(read: FrameRead, start: number): boolean {
    if (read.at !== 'frame' || read.frame.index !== this.#at) return false
    this.#marks.note(this.#segment!.first, { index: this.#at, offset: this.#offset })
    this.#at += 1
    this.#offset = start + read.end
    return true
  }

  async *#readChunk(to: number): AsyncGenerator<JournalEntry> {
    const start = this.#offset
    const bytes = await this.#chunk()
    while (this.#index < to) {
      const place = { segment: this.#segment!.first, offset: this.#offset }
      const read = readFrame(bytes, place.offset - start, crc32)
      if (!this.#pass(read, start) || read.at !== 'frame') return
      this.#index += 1
      yield entryOf(read.frame, place)
    }
  }

  /** Nothing more can be read from this segment: it has ended, or it is damaged here. */
  async #leave(): Promise<void> {
    if ((await this.#chunk(1)).length > 0) throw this.#unreadable()
    const last = (await segmentsOf(this.#folder)).at(-1)
    if (last === undefined || last.first <= this.#segment!.first) throw this.#unreadable()
    this.#segment = null
  }

  async *#leavesUntil(absent: number, size: number): AsyncGenerator<JournalEntry> {
    for await (const { index, time, why } of absentLeaves(this.#folder, { from: this.#index, to: absent, size })) {
      this.#index += 1
      yield { index, time, frame: null, why, place: null }
    }
  }

  #unreadable(): DoorwardError {
    return new DoorwardError('record_corrupt', `entry ${this.#index} cannot be read`, {
      where: `${this.#segment?.path ?? this.#folder}:${this.#offset}`,
      next: 'doorward audit fsck',
    })
  }
}

function entryOf(frame: JournalFrame, place: JournalPlace): JournalEntry {
  const { index, time, absent } = frame
  return { index, time, frame: absent === undefined ? frame : null, why: absent?.reason ?? null, place }
}

function crcAt(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(offset)
}

/** Single entries of one log, in any order. Entries of a segment that was read once are found at once. */
export class EntryLookup {
  readonly #folder: string
  readonly #marks = new SegmentMarks()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The entry `index`, which must be one of the `size` that a checkpoint covers. Throws as `JournalReader`. */
  async read(index: number, size: number): Promise<JournalEntry> {
    try {
      return await this.#read(index, size)
    } catch (error) {
      if (!isDoorwardError(error, 'record_corrupt')) throw error
      // A segment that was rewritten without some of its payloads is shorter than it was.
      this.#marks.clear()
      return this.#read(index, size)
    }
  }

  /**
   * The entry, by the place where it is remembered to stand; from the journal's marks where it does not stand there.
   * Throws as `read`.
   */
  async readAt(index: number, size: number, place: JournalPlace | null): Promise<JournalEntry> {
    const found = place === null ? null : await this.#frameAt(index, place)
    return found ?? this.read(index, size)
  }

  async #frameAt(index: number, place: JournalPlace): Promise<JournalEntry | null> {
    const path = join(this.#folder, SEGMENTS_FOLDER, segmentName(place.segment))
    for (const limit of [USUAL_BYTES, CHUNK_BYTES]) {
      const bytes = await whenThere(readFrom(path, place.offset, limit))
      const read = bytes === null ? null : readFrame(bytes, 0, crc32)
      if (read?.at === 'frame') return read.frame.index === index ? entryOf(read.frame, place) : null
      if (read?.at !== 'cut') return null
    }
    return null
  }

  async #read(index: number, size: number): Promise<JournalEntry> {
    const reader = new JournalReader(this.#folder, index, this.#marks)
    for await (const entry of reader.advance(Math.min(index + 1, size), size)) return entry
    throw new DoorwardError('entry_unknown', `the log holds no entry ${index} that is signed`, {
      where: this.#folder,
      expected: `an index below ${size}`,
      got: String(index),
    })
  }
}
