/** Reading a log from its end, one segment at a time, for what was written last. Checks no signature. */

import { crc32 } from 'node:zlib'
import { parsePayload, readFrame, utf8 } from '@doorward/core'
import type { EntryEnvelope, EntryKind, EpochMillis } from '@doorward/core'
import { headerOf, readFrom, segmentsOf, whenThere } from './log-folder.ts'
import type { SegmentOnDisk } from './log-folder.ts'

export interface ReadSegment {
  /** Entries of the wanted kinds, in order, with those that no checkpoint covers. */
  readonly entries: readonly EntryEnvelope[]
  /** Times of the first and the last entry of any kind; null when there is none. */
  readonly firstTime: EpochMillis | null
  readonly lastTime: EpochMillis | null
  readonly bytes: number
}

/** Others may run after so many frames. */
const FRAMES_IN_ONE_GO = 500

/**
 * Yields the segments from the newest to the oldest; ends early where the rest expires meanwhile. Throws `segment_malformed`,
 * `entry_malformed`.
 */
export async function* readBack(folder: string, kinds: readonly EntryKind[]): AsyncGenerator<ReadSegment> {
  const heads = kinds.map((kind) => utf8(`{"v":1,"kind":"${kind}",`))
  for (const segment of (await segmentsOf(folder)).toReversed()) {
    const read = await whenThere(readOne(segment, heads))
    if (read === null) return
    yield read
  }
}

async function readOne(segment: SegmentOnDisk, heads: readonly Uint8Array[]): Promise<ReadSegment> {
  const { end: start } = await headerOf(segment)
  const bytes = await readFrom(segment.path, start)
  const entries: EntryEnvelope[] = []
  let firstTime: EpochMillis | null = null
  let lastTime: EpochMillis | null = null
  for (let offset = 0, frames = 1; ; frames++) {
    const read = readFrame(bytes, offset, crc32)
    if (read.at !== 'frame') break
    offset = read.end
    firstTime ??= read.frame.time
    lastTime = read.frame.time
    // Empty where it is gone: then it is of no kind that is looked for.
    const { payload } = read.frame
    if (heads.some((head) => startsWith(payload, head))) entries.push(parsePayload(payload))
    if (frames % FRAMES_IN_ONE_GO === 0) await new Promise<void>((resolve) => void setImmediate(resolve))
  }
  return { entries, firstTime, lastTime, bytes: bytes.length }
}

/** The kind stands first in every payload, which has one written form. */
function startsWith(bytes: Uint8Array, head: Uint8Array): boolean {
  return bytes.length >= head.length && head.every((byte, index) => bytes[index] === byte)
}
