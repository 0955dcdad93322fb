/** Reading a segment through its damage: what is whole in it, and which bytes and entries are not. Pure. */

import { FRAME_HEADER_BYTES, isDoorwardError, parseSegmentHeader, readFrame } from '@doorward/core'
import type { Crc32, JournalFrame, SegmentHeader } from '@doorward/core'

export interface WalkedFrame {
  readonly frame: JournalFrame
  readonly offset: number
}

/** Bytes that are no whole frame, and the entries that stood there. */
export interface DamagedStretch {
  readonly from: number
  readonly to: number
  readonly first: number
  readonly end: number
}

export interface WalkedSegment {
  /** Null where it is not readable. */
  readonly header: SegmentHeader | null
  readonly frames: readonly WalkedFrame[]
  readonly damaged: readonly DamagedStretch[]
  /** The first entry after it, as far as it can be read. */
  readonly end: number
}

export interface SegmentBounds {
  /** By the file's name. */
  readonly first: number
  /** Where its entries must end; null where nobody knows. */
  readonly end: number | null
  /** No entry of it can be this one or a later one; null where that is not known. */
  readonly before: number | null
}

export function walkSegment(bytes: Uint8Array, bounds: SegmentBounds, crc32: Crc32): WalkedSegment {
  const head = headerIn(bytes, crc32)
  const frames: WalkedFrame[] = []
  const damaged: DamagedStretch[] = []
  let expected = bounds.first
  let offset = head?.end ?? 0
  // A header that cannot be read says nothing about where the frames begin.
  if (head === null) {
    const next = nextFrame(bytes, { offset: 0, expected, before: bounds.before }, crc32)
    damaged.push({
      from: 0,
      to: next?.offset ?? bytes.length,
      first: expected,
      end: next?.index ?? endOf(bounds, expected),
    })
    expected = next?.index ?? endOf(bounds, expected)
    offset = next?.offset ?? bytes.length
  }
  while (offset < bytes.length) {
    const read = readFrame(bytes, offset, crc32)
    if (read.at === 'frame' && read.frame.index === expected) {
      frames.push({ frame: read.frame, offset })
      expected += 1
      offset = read.end
      continue
    }
    const next = nextFrame(bytes, { offset: offset + 1, expected, before: bounds.before }, crc32)
    const end = next?.index ?? endOf(bounds, expected)
    damaged.push({ from: offset, to: next?.offset ?? bytes.length, first: expected, end })
    expected = end
    offset = next?.offset ?? bytes.length
  }
  const end = endOf(bounds, expected)
  if (end > expected) damaged.push({ from: bytes.length, to: bytes.length, first: expected, end })
  return { header: head?.header ?? null, frames, damaged, end }
}

function headerIn(bytes: Uint8Array, crc32: Crc32): ReturnType<typeof parseSegmentHeader> | null {
  try {
    return parseSegmentHeader(bytes, crc32)
  } catch (error) {
    if (isDoorwardError(error, 'segment_malformed')) return null
    throw error
  }
}

/** What must have stood up to the end of the segment. */
function endOf({ end }: SegmentBounds, expected: number): number {
  return Math.max(expected, end ?? expected)
}

interface From {
  readonly offset: number
  readonly expected: number
  readonly before: number | null
}

/** The next whole frame of this log: every position, for a damaged length says nothing about where it begins. */
function nextFrame(
  bytes: Uint8Array,
  { offset, expected, before }: From,
  crc32: Crc32,
): { readonly offset: number; readonly index: number } | null {
  for (let at = offset; at + FRAME_HEADER_BYTES <= bytes.length; at++) {
    const version = bytes[at + 4]
    if (version !== 1 && version !== 2) continue
    const read = readFrame(bytes, at, crc32)
    if (read.at !== 'frame' || read.frame.index < expected) continue
    if (before === null || read.frame.index < before) return { offset: at, index: read.frame.index }
  }
  return null
}
