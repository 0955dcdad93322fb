/**
 * The journal's form: segments of frames, one frame per entry. The journal is what an acknowledgement rests on;
 * tiles and checkpoint are derived from it.
 *
 * A segment: 8 bytes magic, uint32 length, uint32 CRC, JSON header; then frames. A frame (big-endian):
 *
 *     0  crc32    uint32   over bytes 4 to the end of the frame
 *     4  version  uint8    1
 *     5  length   uint24   of the payload
 *     8  index    uint64
 *    16  batch    uint64   index of the first entry of the group commit that wrote this frame
 *    24  time     uint64   milliseconds
 *    32  salt     16 bytes
 *    48  payload
 *
 * An entry whose payload is gone has a frame of version 2 (`absent-frame.ts`). A batch is written only after the one before it is durable. A damaged frame followed by a whole frame of a later
 * batch was therefore acknowledged once, and is damage; without one it is the torn tail of the last write.
 */

import { concat, fromUtf8, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'
import { epochMillis } from '../time.ts'
import type { EpochMillis } from '../time.ts'
import { ABSENT_FRAME_VERSION, MIN_ABSENT_FRAME_BYTES, readAbsentPayload, writeAbsentPayload } from './absent-frame.ts'
import type { AbsentEntry, AbsentPayload } from './absent-frame.ts'
import { MAX_PAYLOAD_BYTES, SALT_BYTES, encodeLeaf, leafOf } from './entry.ts'

/** CRC-32 (ISO 3309, as in zlib). Finds bit rot and torn writes, not tampering: that is what the tree is for. */
export type Crc32 = (data: Uint8Array) => number

export interface SegmentHeader {
  readonly v: 1
  readonly origin: string
  /** The verifier key of the log when the segment was begun. */
  readonly vkey: string
  /** Index of the first entry. */
  readonly first: number
  /** The segment before: its first index and its length in bytes. Null for the first segment. */
  readonly previous: { readonly first: number; readonly bytes: number } | null
}

export interface JournalFrame {
  readonly index: number
  readonly batch: number
  readonly time: EpochMillis
  /** Empty, as the payload is, where that is absent. */
  readonly salt: Uint8Array
  readonly payload: Uint8Array
  /** Set where the payload is gone. */
  readonly absent?: AbsentPayload
}

export const FRAME_HEADER_BYTES = 48
const FRAME_VERSION = 1
const VERSIONS: ReadonlySet<number> = new Set([FRAME_VERSION, ABSENT_FRAME_VERSION])
const NOTHING = new Uint8Array(0)
const MAGIC = utf8('DWRECORD')
const PREFIX_BYTES = 16
/** More than any header of ours needs; a longer one is damage. */
export const MAX_SEGMENT_HEADER_BYTES = 4096

/** Where the parts of a log lie inside its folder. */
export const CHECKPOINT_FILE = 'checkpoint'
export const SEGMENTS_FOLDER = 'segments'

/** `<first index, 16 digits>.journal`. */
export function segmentName(first: number): string {
  return `${String(first).padStart(16, '0')}.journal`
}

/** The first index in a segment's name; null for any other name. */
export function parseSegmentName(name: string): number | null {
  const match = /^([0-9]{16})\.journal$/.exec(name)
  return match !== null && Number.isSafeInteger(Number(match[1])) ? Number(match[1]) : null
}

export function encodeSegmentHeader(header: SegmentHeader, crc32: Crc32): Uint8Array<ArrayBuffer> {
  const json = utf8(JSON.stringify(header))
  const prefix = new Uint8Array(8)
  const view = new DataView(prefix.buffer)
  view.setUint32(0, json.length)
  view.setUint32(4, crc32(json))
  return concat(MAGIC, prefix, json)
}

/** Parses the start of a segment. Throws `segment_malformed`. */
export function parseSegmentHeader(
  bytes: Uint8Array,
  crc32: Crc32,
): { readonly header: SegmentHeader; readonly end: number } {
  if (bytes.length < PREFIX_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) throw badHeader('the magic bytes')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const end = PREFIX_BYTES + view.getUint32(8)
  if (end > MAX_SEGMENT_HEADER_BYTES || end > bytes.length) throw badHeader('a whole header')
  const json = bytes.subarray(PREFIX_BYTES, end)
  if (crc32(json) !== view.getUint32(12)) throw badHeader('a matching checksum')
  const header = readHeader(json)
  if (header === null) throw badHeader('the members of a segment header')
  return { header, end }
}

function readHeader(json: Uint8Array): SegmentHeader | null {
  let value: Partial<SegmentHeader> | null
  try {
    value = JSON.parse(fromUtf8(json))
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || value.v !== 1) return null
  const { origin, vkey, first, previous } = value
  if (typeof origin !== 'string' || typeof vkey !== 'string' || !isIndex(first)) return null
  if (previous === null) return first === 0 ? { v: 1, origin, vkey, first, previous } : null
  if (typeof previous !== 'object' || !isIndex(previous.first) || !isIndex(previous.bytes)) return null
  return { v: 1, origin, vkey, first, previous: { first: previous.first, bytes: previous.bytes } }
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** Writes frames one after the other into one buffer. */
export function encodeFrames(frames: readonly JournalFrame[], crc32: Crc32): Uint8Array<ArrayBuffer> {
  const length = frames.reduce((sum, frame) => sum + FRAME_HEADER_BYTES + frame.payload.length, 0)
  const out = new Uint8Array(length)
  const view = new DataView(out.buffer)
  let at = 0
  for (const frame of frames) {
    const end = at + FRAME_HEADER_BYTES + frame.payload.length
    view.setUint32(at + 4, FRAME_VERSION * 0x1000000 + frame.payload.length)
    setIndex(view, at + 8, frame.index)
    setIndex(view, at + 16, frame.batch)
    setIndex(view, at + 24, frame.time)
    out.set(frame.salt, at + 32)
    out.set(frame.payload, at + FRAME_HEADER_BYTES)
    view.setUint32(at, crc32(out.subarray(at + 4, end)))
    at = end
  }
  return out
}

/** The frame of an entry whose payload is gone, `length` bytes long as a whole: that of the frame in whose place it comes. */
export function encodeAbsentFrame(entry: AbsentEntry, length: number, crc32: Crc32): Uint8Array<ArrayBuffer> {
  const most = FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES
  if (length < MIN_ABSENT_FRAME_BYTES || length > most)
    throw new DoorwardError('entry_malformed', 'no frame has this length', {
      expected: `${MIN_ABSENT_FRAME_BYTES} to ${most} bytes`,
      got: `${length}`,
    })
  const out = new Uint8Array(length)
  const view = new DataView(out.buffer)
  view.setUint32(4, ABSENT_FRAME_VERSION * 0x1000000 + length - FRAME_HEADER_BYTES)
  setIndex(view, 8, entry.index)
  setIndex(view, 16, entry.batch)
  setIndex(view, 24, entry.time)
  writeAbsentPayload(out, entry)
  view.setUint32(0, crc32(out.subarray(4)))
  return out
}

/** The leaf of a frame's entry, whether its payload is there or gone. */
export function leafOfFrame(sha256: Sha256, frame: JournalFrame): Uint8Array<ArrayBuffer> {
  return frame.absent === undefined ? encodeLeaf(sha256, frame) : leafOf(frame.time, frame.absent.digest)
}

// Two halves instead of a BigInt: this runs for every entry.
function setIndex(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x100000000))
  view.setUint32(at + 4, value % 0x100000000)
}

function getIndex(view: DataView, at: number): number {
  return view.getUint32(at) * 0x100000000 + view.getUint32(at + 4)
}

/** A frame that could be read, or why not: nothing left, cut short, or damaged. */
export type FrameRead =
  | { readonly at: 'frame'; readonly frame: JournalFrame; readonly end: number }
  | { readonly at: 'end' | 'cut' | 'damaged' }

/** Reads the frame at `offset`. Salt and payload are views into `bytes`. */
export function readFrame(bytes: Uint8Array, offset: number, crc32: Crc32): FrameRead {
  if (offset >= bytes.length) return { at: 'end' }
  if (offset + FRAME_HEADER_BYTES > bytes.length) return { at: 'cut' }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const word = view.getUint32(offset + 4)
  const length = word % 0x1000000
  const version = Math.floor(word / 0x1000000)
  if (!VERSIONS.has(version) || length > MAX_PAYLOAD_BYTES) return { at: 'damaged' }
  const start = offset + FRAME_HEADER_BYTES
  const end = start + length
  if (end > bytes.length) return { at: 'cut' }
  if (crc32(bytes.subarray(offset + 4, end)) !== view.getUint32(offset)) return { at: 'damaged' }
  const [index, batch, time] = [getIndex(view, offset + 8), getIndex(view, offset + 16), getIndex(view, offset + 24)]
  if (!isIndex(index) || !isIndex(batch) || !isIndex(time)) return { at: 'damaged' }
  if (version === ABSENT_FRAME_VERSION) {
    const absent = readAbsentPayload(bytes.subarray(offset, end))
    if (absent === null) return { at: 'damaged' }
    return {
      at: 'frame',
      frame: { index, batch, time: epochMillis(time), salt: NOTHING, payload: NOTHING, absent },
      end,
    }
  }
  const salt = bytes.subarray(offset + 32, offset + 32 + SALT_BYTES)
  const payload = bytes.subarray(start, end)
  return { at: 'frame', frame: { index, batch, time: epochMillis(time), salt, payload }, end }
}

/** Where a segment stops making sense. `acknowledged`: a later batch proves that these bytes were durable once. */
export interface SegmentFault {
  readonly kind: 'cut' | 'damaged' | 'gap'
  readonly offset: number
  readonly acknowledged: boolean
}

export interface SegmentScan {
  readonly header: SegmentHeader
  readonly frames: readonly JournalFrame[]
  /** Where each frame begins, and at the end where the last one ends. */
  readonly offsets: readonly number[]
  readonly fault: SegmentFault | null
}

/** Reads a whole segment up to its first fault. Throws `segment_malformed` when the header is not readable. */
export function scanSegment(bytes: Uint8Array, crc32: Crc32): SegmentScan {
  const { header, end } = parseSegmentHeader(bytes, crc32)
  const frames: JournalFrame[] = []
  const offsets = [end]
  let fault: SegmentFault | null = null
  for (let offset = end; fault === null;) {
    const read = readFrame(bytes, offset, crc32)
    if (read.at === 'end') break
    const expected = header.first + frames.length
    if (read.at === 'frame' && read.frame.index === expected) {
      frames.push(read.frame)
      offsets.push((offset = read.end))
    } else {
      const kind = read.at === 'frame' ? 'gap' : read.at
      fault = { kind, offset, acknowledged: laterBatchFollows(bytes, { offset, expected }, crc32) }
    }
  }
  return { header, frames, offsets, fault }
}

function laterBatchFollows(
  bytes: Uint8Array,
  at: { readonly offset: number; readonly expected: number },
  crc32: Crc32,
): boolean {
  // Every position: a damaged length says nothing about where the next frame begins.
  for (let offset = at.offset; offset + FRAME_HEADER_BYTES <= bytes.length; offset++) {
    if (!VERSIONS.has(bytes[offset + 4]!)) continue
    const read = readFrame(bytes, offset, crc32)
    if (read.at === 'frame' && read.frame.batch > at.expected) return true
  }
  return false
}

function badHeader(expected: string): DoorwardError {
  return new DoorwardError('segment_malformed', 'segment header is not readable', { expected })
}
