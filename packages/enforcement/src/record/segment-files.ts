/** The journal's segments on disk: which there are, that none is missing, and what one holds. */

import { open, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  DoorwardError,
  FRAME_HEADER_BYTES,
  MAX_SEGMENT_HEADER_BYTES,
  SEGMENTS_FOLDER,
  isDoorwardError,
  parseSegmentHeader,
  parseSegmentName,
  scanSegment,
} from '@doorward/core'
import type { SegmentHeader, SegmentScan } from '@doorward/core'

export interface SegmentFile {
  readonly path: string
  readonly bytes: number
  readonly header: SegmentHeader
  /** Where the first frame begins. */
  readonly start: number
}

/**
 * The segments of the log in `folder`, in order, by their headers alone. Those of entries before `expired` are as good as
 * gone, and left out. Throws `record_corrupt` for an unreadable header or a length other than the next segment remembers,
 * `record_gap` for a missing segment.
 */
export async function listSegments(folder: string, expired = 0): Promise<readonly SegmentFile[]> {
  const names = await namesIn(join(folder, SEGMENTS_FOLDER))
  const segments: SegmentFile[] = []
  for (const name of names.toSorted()) {
    const first = parseSegmentName(name)
    if (first === null || first < expired) continue
    segments.push(await readHeader(join(folder, SEGMENTS_FOLDER, name)))
  }
  for (const [i, segment] of segments.entries()) checkOrder(segments[i - 1] ?? null, segment, expired)
  return segments
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function readHeader(path: string): Promise<SegmentFile> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(MAX_SEGMENT_HEADER_BYTES),
      0,
      MAX_SEGMENT_HEADER_BYTES,
      0,
    )
    const { header, end } = parseSegmentHeader(buffer.subarray(0, bytesRead), crc32)
    return { path, bytes: size, header, start: end }
  } catch (error) {
    if (!isDoorwardError(error, 'segment_malformed')) throw error
    throw corrupt(path, 0, 'a readable segment header', error)
  } finally {
    await file.close()
  }
}

function checkOrder(before: SegmentFile | null, { path, header }: SegmentFile, expired: number): void {
  if (parseSegmentName(path.slice(-24)) !== header.first) {
    throw corrupt(path, 0, `a segment that begins with entry ${parseSegmentName(path.slice(-24))}`)
  }
  if (before === null && (header.previous === null ? expired === 0 : header.first === expired)) return
  if (before === null || header.previous?.first !== before.header.first) {
    throw new DoorwardError('record_gap', 'a segment of the journal is missing', {
      where: path,
      expected: `before it the segment of entry ${header.previous?.first ?? expired}`,
      got: `the segment of entry ${before?.header.first ?? 'none'}`,
      next: 'restore the missing file; entries cannot be replaced by others',
    })
  }
  if (header.previous.bytes !== before.bytes) {
    const at = Math.min(before.bytes, header.previous.bytes)
    throw corrupt(before.path, at, `${header.previous.bytes} bytes, as the next segment remembers`)
  }
}

/** What the first frame gives as its time, unchecked; the end of time for a segment without one. */
export async function firstTimeOf({ path, start }: SegmentFile): Promise<number> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(FRAME_HEADER_BYTES), 0, FRAME_HEADER_BYTES, start)
    return bytesRead === FRAME_HEADER_BYTES ? Number(buffer.readBigUInt64BE(24)) : Number.MAX_SAFE_INTEGER
  } finally {
    await file.close()
  }
}

/** Reads a whole segment. Throws `record_corrupt` when its header has become unreadable. */
export async function readSegment(segment: SegmentFile): Promise<SegmentScan> {
  try {
    return scanSegment(await readFile(segment.path), crc32)
  } catch (error) {
    if (!isDoorwardError(error, 'segment_malformed')) throw error
    throw corrupt(segment.path, 0, 'a readable segment header', error)
  }
}

/** The error for bytes that were durable once and are no longer what they were. */
export function corrupt(path: string, offset: number, expected: string, cause?: unknown): DoorwardError {
  return new DoorwardError('record_corrupt', `journal is damaged at byte ${offset}`, {
    where: `${path}:${offset}`,
    expected,
    next: 'restore this file from a copy; nothing is written until its entries are back',
    cause,
  })
}
