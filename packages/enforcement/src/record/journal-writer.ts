/** Writing the journal: batches of frames into segments, and a fresh segment after a failure. */

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { DoorwardError, SEGMENTS_FOLDER, encodeFrames, encodeSegmentHeader, segmentName } from '@doorward/core'
import type { JournalFrame, SegmentHeader } from '@doorward/core'
import type { AppendFile, RecordDisk } from './disk.ts'

/** The durable end of the journal: the last segment, its durable length, and the next index. */
export interface JournalTail {
  readonly first: number
  readonly previous: SegmentHeader['previous']
  readonly bytes: number
  readonly next: number
}

export interface JournalSettings {
  readonly folder: string
  readonly origin: string
  readonly vkey: string
  readonly segmentBytes: number
}

/**
 * One writer of one journal; `commit` and `repair` must not overlap. After a rejected `commit` only `repair` or
 * `close` may follow: a descriptor that has failed to sync is never used again, because the next sync would report
 * success for pages that the kernel has dropped.
 */
export class JournalWriter {
  readonly #disk: RecordDisk
  readonly #settings: JournalSettings
  #tail: JournalTail
  #file: AppendFile | null = null
  #syncs = 0

  constructor(disk: RecordDisk, settings: JournalSettings, tail: JournalTail) {
    this.#disk = disk
    this.#settings = settings
    this.#tail = tail
  }

  /** Begins a journal that has no segment yet. A crash leaves either nothing or a whole empty segment. */
  static async begin(disk: RecordDisk, settings: JournalSettings): Promise<JournalTail> {
    return newSegment(disk, settings, { first: 0, previous: null })
  }

  /** The next index. */
  get next(): number {
    return this.#tail.next
  }

  get syncs(): number {
    return this.#syncs
  }

  get segment(): string {
    return segmentName(this.#tail.first)
  }

  /** Makes a batch durable: one write, one sync. Its frames begin at `next`. */
  async commit(frames: readonly JournalFrame[]): Promise<void> {
    const bytes = encodeFrames(frames, crc32)
    if (this.#tail.bytes >= this.#settings.segmentBytes) await this.#roll()
    this.#file ??= await this.#open()
    await this.#file.write(bytes)
    this.#syncs += 1
    await this.#file.sync()
    const { next } = this.#tail
    this.#tail = { ...this.#tail, bytes: this.#tail.bytes + bytes.length, next: next + frames.length }
  }

  /**
   * After a failure: cuts what was not acknowledged off the failed segment and begins another. The order matters:
   * a crash between the two leaves a clean end, so no refused entry can sit under an index that is given again.
   */
  async repair(): Promise<void> {
    await this.#abandon()
    await this.#disk.truncate(this.#path(this.#tail.first), this.#tail.bytes)
    await this.#roll()
    this.#file = await this.#open()
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
  }

  async #abandon(): Promise<void> {
    const file = this.#file
    this.#file = null
    // Closing reports the same failure again; there is nothing left to learn from it.
    await file?.close().catch(() => undefined)
  }

  async #roll(): Promise<void> {
    await this.#abandon()
    const { first, previous, bytes, next } = this.#tail
    // A segment without entries is replaced by one of the same name.
    const before = next === first ? previous : { first, bytes }
    this.#tail = await newSegment(this.#disk, this.#settings, { first: next, previous: before })
  }

  #open(): Promise<AppendFile> {
    return this.#disk.openAppend(this.#path(this.#tail.first), this.#tail.bytes)
  }

  #path(first: number): string {
    return join(this.#settings.folder, SEGMENTS_FOLDER, segmentName(first))
  }
}

async function newSegment(
  disk: RecordDisk,
  { folder, origin, vkey }: JournalSettings,
  { first, previous }: Pick<SegmentHeader, 'first' | 'previous'>,
): Promise<JournalTail> {
  const bytes = encodeSegmentHeader({ v: 1, origin, vkey, first, previous }, crc32)
  await disk.replace([{ path: join(folder, SEGMENTS_FOLDER, segmentName(first)), bytes }], 'durable')
  return { first, previous, bytes: bytes.length, next: first }
}

/** The error that callers of `append` get for any failure of the disk. */
export function unavailable(message: string, cause: unknown): DoorwardError {
  return new DoorwardError('record_unavailable', message, {
    next: 'calls are refused until the disk works again; the record recovers by itself',
    cause,
  })
}
