/**
 * A second sink that is demanded: the journal's segments, byte by byte, on another disk. Nothing is acknowledged that
 * is not durable in both places. Opening a log settles what a crash between the two writes has left:
 *
 * - A sink that lags gets what is missing from the log.
 * - The last write may stand in the sink alone. A batch is written only after the one before it is durable, so one
 *   batch beyond the log's end is what a crash leaves; the log takes it over, acknowledged or not.
 * - More than that was acknowledged: the log has gone back.
 */

import { readFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { DoorwardError, SEGMENTS_FOLDER, parseSegmentName, scanSegment } from '@doorward/core'
import type { SegmentScan } from '@doorward/core'
import type { RecordDisk } from './disk.ts'
import { mirroredDisk } from './mirrored-disk.ts'
import { checkOwner } from './own-checkpoints.ts'
import { listSegments, readSegment } from './segment-files.ts'
import type { SegmentFile } from './segment-files.ts'

export interface SecondSinkParts {
  /** The log's own folder. */
  readonly folder: string
  /** The sink's folder, which has to exist: that of a disk that is not mounted does not. */
  readonly dir: string
  readonly origin: string
  readonly vkey: string
  readonly disk: RecordDisk
}

/** Segments of which every byte is compared when a log is opened; of older ones headers and lengths. */
const COMPARED_SEGMENTS = 4

/** Folder of a log in a sink that several logs may share. */
export function sinkFolder(dir: string, origin: string): string {
  return join(dir, origin.replaceAll('/', '+'))
}

export class SecondSink {
  readonly #parts: SecondSinkParts
  readonly #folder: string

  constructor(parts: SecondSinkParts) {
    this.#parts = parts
    this.#folder = sinkFolder(parts.dir, parts.origin)
  }

  /**
   * Before the log is recovered. `covered`: entries that its checkpoints were signed over; what stands before `expired`
   * is gone from the log, and may be gone from the sink. Throws
   *
   * - `record_sink_missing`: its folder does not exist;
   * - `record_foreign`: the sink of another log or key;
   * - `record_rollback`: it holds acknowledged entries that the log does not hold;
   * - `record_forked`: other bytes than the log's;
   * - `record_corrupt`, `record_gap`: its own damage.
   */
  async reconcile({ covered, expired }: { readonly covered: number; readonly expired: number }): Promise<void> {
    const { folder, dir, disk } = this.#parts
    if (!(await isFolder(dir))) throw missing(dir)
    const sink = await listSegments(this.#folder, expired)
    checkOwner(sink, this.#parts)
    const log = await listSegments(folder, expired)
    const last = log.at(-1)
    if (last === undefined) return this.#refuseEntries(sink)
    await this.#refuseOthers(log, sink)
    const same = sink.find(({ header }) => header.first === last.header.first)
    if (same === undefined) return
    const [ours, theirs] = await Promise.all([readSegment(last), readSegment(same)])
    if (theirs.frames.length <= ours.frames.length || ours.fault?.acknowledged === true) return
    this.#refuseAhead(same, { ours, theirs, covered })
    const [end, to] = [ours.offsets.at(-1)!, theirs.offsets.at(-1)!]
    await disk.truncate(last.path, end)
    await append(disk, { path: last.path, position: end, bytes: (await readFile(same.path)).subarray(end, to) })
  }

  /** The sink alone has entries: the log is gone. */
  async #refuseEntries(sink: readonly SegmentFile[]): Promise<void> {
    for (const segment of sink) {
      const { frames } = await readSegment(segment)
      if (frames.length > 0) throw rollback(segment.path, segment.header.first, 'no entries')
    }
  }

  async #refuseOthers(log: readonly SegmentFile[], sink: readonly SegmentFile[]): Promise<void> {
    const [from, to] = [log[0]!.header.first, log.at(-1)!.header.first]
    const byFirst = new Map(log.map((segment) => [segment.header.first, segment]))
    for (const theirs of sink) {
      const { first } = theirs.header
      const ours = byFirst.get(first)
      if (ours === undefined && first > from && first < to) throw forked(theirs.path, `no segment of entry ${first}`)
      if (ours === undefined && first > to) await this.#refuseEntries([theirs])
      if (ours === undefined) continue
      const closed = first !== to
      if (closed && theirs.bytes > ours.bytes) throw forked(theirs.path, `at most ${ours.bytes} bytes`)
      if (JSON.stringify(theirs.header) !== JSON.stringify(ours.header)) throw forked(theirs.path, 'the same header')
    }
    for (const ours of log.slice(-COMPARED_SEGMENTS)) {
      const theirs = sink.find(({ header }) => header.first === ours.header.first)
      if (theirs !== undefined) await refuseOtherBytes(ours, theirs)
    }
  }

  #refuseAhead(
    { path }: SegmentFile,
    { ours, theirs, covered }: { readonly ours: SegmentScan; readonly theirs: SegmentScan; readonly covered: number },
  ): void {
    const next = ours.header.first + ours.frames.length
    const acknowledged = theirs.frames.slice(ours.frames.length).some(({ batch }) => batch > next)
    if (acknowledged || covered > next) throw rollback(path, next, `${next} entries`)
  }

  /**
   * Makes the sink what the log is: what is missing is copied, what a failed write left is cut off. What `covered`
   * does not say to have been durable for long is written once more, as recovery does with the log's own.
   */
  async align(covered = Infinity): Promise<void> {
    const { folder, dir } = this.#parts
    if (!(await isFolder(dir))) throw missing(dir)
    const log = await namesOf(folder)
    const sink = await namesOf(this.#folder)
    const ends = new Set([log.at(-1), sink.at(-1)])
    for (const name of log) await this.#alignOne(name, ends.has(name) ? covered : null)
    for (const name of sink.filter((each) => each > (log.at(-1) ?? ''))) await this.#removeBegun(name)
  }

  /** `covered` is null for a segment that is whole if its length is. */
  async #alignOne(name: string, covered: number | null): Promise<void> {
    const { disk } = this.#parts
    const [ours, theirs] = [segmentIn(this.#parts.folder, name), segmentIn(this.#folder, name)]
    const [{ size }, held] = [await stat(ours), await sizeOf(theirs)]
    if (held === size && covered === null) return
    const bytes = await readFile(ours)
    if (held === null) return disk.replace([{ path: theirs, bytes }], 'durable')
    const { header, offsets } = scanSegment(bytes, crc32)
    const settled = Math.max(0, Math.min((covered ?? Infinity) - header.first, offsets.length - 1))
    const position = Math.min(offsets[settled]!, firstDifference(bytes, await readFile(theirs)))
    if (held > position) await disk.truncate(theirs, position)
    if (position < size) await append(disk, { path: theirs, position, bytes: bytes.subarray(position) })
  }

  /** Begun in the sink alone: the log may begin its next segment elsewhere. */
  async #removeBegun(name: string): Promise<void> {
    const path = segmentIn(this.#folder, name)
    const { header, frames } = scanSegment(await readFile(path), crc32)
    if (frames.length > 0) throw rollback(path, header.first, 'none')
    await rm(path)
  }

  /** The disk that the journal is written with from then on. */
  mirror(): RecordDisk {
    const [from, to] = [join(this.#parts.folder, SEGMENTS_FOLDER), join(this.#folder, SEGMENTS_FOLDER)]
    return mirroredDisk(this.#parts.disk, { from, to, align: () => this.align() })
  }
}

/** What is whole in both must be the same; an end that a crash has torn is settled later. */
async function refuseOtherBytes(ours: SegmentFile, theirs: SegmentFile): Promise<void> {
  const [a, b] = await Promise.all([readSegment(ours), readSegment(theirs)])
  const frames = Math.min(a.frames.length, b.frames.length)
  const end = a.offsets[frames]!
  const [left, right] = await Promise.all([readFile(ours.path), readFile(theirs.path)])
  const same = b.offsets[frames] === end && left.subarray(0, end).equals(right.subarray(0, end))
  if (!same || b.fault?.acknowledged === true) throw forked(theirs.path, `the bytes of ${ours.path}`)
}

function segmentIn(folder: string, name: string): string {
  return join(folder, SEGMENTS_FOLDER, name)
}

async function namesOf(folder: string): Promise<readonly string[]> {
  try {
    const names = await readdir(join(folder, SEGMENTS_FOLDER))
    return names.filter((name) => parseSegmentName(name) !== null).toSorted()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

/** The length of what both begin with. */
function firstDifference(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length)
  if (a.subarray(0, length).equals(b.subarray(0, length))) return length
  let at = 0
  while (a[at] === b[at]) at++
  return at
}

async function append(
  disk: RecordDisk,
  { path, position, bytes }: { readonly path: string; readonly position: number; readonly bytes: Uint8Array },
): Promise<void> {
  const file = await disk.openAppend(path, position)
  try {
    await file.write(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  return found?.isDirectory() === true
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function missing(dir: string): DoorwardError {
  return new DoorwardError('record_sink_missing', 'the second sink of the record is not there', {
    where: dir,
    expected: 'a folder',
    next: 'mount its disk, or make the folder if it is new',
  })
}

function rollback(where: string, index: number, got: string): DoorwardError {
  return new DoorwardError('record_rollback', 'the log is shorter than its second sink', {
    where,
    expected: `entry ${index} in the log, too`,
    got,
    next: 'put the newest log back, or restore its segments from the second sink',
  })
}

function forked(where: string, expected: string): DoorwardError {
  return new DoorwardError('record_forked', 'the second sink holds other entries than the log', {
    where,
    expected,
    next: 'find out which of them was changed and by whom; an empty folder begins a new sink',
  })
}
