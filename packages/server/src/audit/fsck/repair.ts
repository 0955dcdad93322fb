/**
 * What a damaged segment becomes when its damage is accepted: as long as it was, with every whole frame where it stood, and
 * a frame without a payload for each entry that is gone, by its leaf in the signed tree. Writes nothing.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  DoorwardError,
  FRAME_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  MIN_ABSENT_FRAME_BYTES,
  SEGMENTS_FOLDER,
  buildInclusionProof,
  joinBytes,
  encodeAbsentFrame,
  encodeSegmentHeader,
  equalBytes,
  isDoorwardError,
  leafHash,
  leafOfFrame,
  parseLeaf,
  scanSegment,
  segmentName,
  verifyInclusion,
} from '@doorward/core'
import type { Checkpoint, SegmentHeader, Sha256 } from '@doorward/core'
import { headerOf, segmentsOf } from '../log-folder.ts'
import type { SegmentOnDisk } from '../log-folder.ts'
import { leafOf, subtreesIn } from '../prove-tiles.ts'
import { walkSegment } from './segment-walk.ts'
import type { DamagedStretch } from './segment-walk.ts'

export interface RepairParts {
  readonly folder: string
  /** First entry of the damaged segment. */
  readonly first: number
  readonly vkey: string
  /** The newest that the log's key has signed. */
  readonly checkpoint: Checkpoint
  readonly sha256: Sha256
}

export interface SegmentRepair {
  readonly path: string
  readonly bytes: Uint8Array
  /** Entries whose payloads are gone, in order, exclusive at their ends. */
  readonly ranges: readonly { readonly first: number; readonly end: number }[]
}

/**
 * Throws `damage_none` for a segment that is whole, `damage_lost` where entries are gone that the signed tree does not know
 * (they cannot be left out: what comes after them would get other indices), and `damage_unfit` where what is gone cannot be
 * put into the bytes that it had.
 */
export async function repairSegment(parts: RepairParts): Promise<SegmentRepair> {
  const { folder, first, checkpoint } = parts
  const path = join(folder, SEGMENTS_FOLDER, segmentName(first))
  const segments = await segmentsOf(folder)
  const at = segments.findIndex((segment) => segment.first === first)
  const next = segments[at + 1] ?? null
  const bytes = await readFile(path)
  const before = segments[at - 1] ?? null
  const remembered = next === null ? null : await rememberedBy(next, first)
  const end = next === null ? checkpoint.size : next.first
  const walked = walkSegment(
    remembered === null ? bytes : bytes.subarray(0, remembered),
    { first, end, before: next?.first ?? null },
    crc32,
  )
  const damaged = [...walked.damaged, ...(await changedFrames(parts, walked.frames, bytes))].toSorted(
    (a, b) => a.from - b.from,
  )
  if (damaged.length === 0) throw refused('damage_none', path, 'a segment that is damaged')
  const covered = Math.min(end, checkpoint.size)
  const lost = damaged.find((stretch) => stretch.end > covered)
  if (lost !== undefined)
    throw refused('damage_lost', path, `a copy that holds entries ${Math.max(lost.first, covered)} to ${lost.end - 1}`)
  const pieces = await piecesOf({ ...parts, path, bytes, before, damaged, remembered, header: walked.header })
  const repaired = joinBytes(pieces)
  checkRepaired(path, repaired, remembered)
  return { path, bytes: repaired, ranges: damaged.map((stretch) => ({ first: stretch.first, end: stretch.end })) }
}

/** How long the segment of entry `first` was when the next one was begun. */
async function rememberedBy(next: SegmentOnDisk, first: number): Promise<number> {
  const { header } = await headerOf(next).catch((error: unknown) => {
    if (isDoorwardError(error)) throw refused('damage_unfit', next.path, 'a readable header: repair this segment first')
    throw error
  })
  if (header.previous?.first === first) return header.previous.bytes
  throw refused(
    'damage_unfit',
    next.path,
    `after the segment of entry ${header.previous?.first ?? 0}, which is missing`,
  )
}

interface Walked {
  readonly frame: Parameters<typeof leafOfFrame>[1]
  readonly offset: number
}

/** Whole frames that are other entries than those that were signed. */
async function changedFrames(
  parts: RepairParts,
  frames: readonly Walked[],
  bytes: Uint8Array,
): Promise<readonly DamagedStretch[]> {
  const { sha256, checkpoint } = parts
  const changed: DamagedStretch[] = []
  for (const { frame, offset } of frames) {
    const { index } = frame
    if (index >= checkpoint.size) continue
    const leaf = leafOfFrame(sha256, frame)
    if (equalBytes(leaf, await bundled(parts, index)) || (await isSigned(parts, index, leaf))) continue
    const length = FRAME_HEADER_BYTES + (new DataView(bytes.buffer, bytes.byteOffset + offset).getUint32(4) % 0x1000000)
    changed.push({ from: offset, to: offset + length, first: index, end: index + 1 })
  }
  return changed
}

async function bundled({ folder, checkpoint }: RepairParts, index: number): Promise<Uint8Array> {
  try {
    return await leafOf(folder, { index, size: checkpoint.size })
  } catch (error) {
    if (isDoorwardError(error)) return new Uint8Array(0)
    throw error
  }
}

async function isSigned(
  { folder, checkpoint, sha256 }: RepairParts,
  index: number,
  leaf: Uint8Array,
): Promise<boolean> {
  const { size, root } = checkpoint
  try {
    const proof = await buildInclusionProof(sha256, { index, size }, subtreesIn(folder, size, sha256))
    return verifyInclusion(sha256, { index, size, leafHash: leafHash(sha256, leaf), root, proof })
  } catch (error) {
    if (isDoorwardError(error)) return false
    throw error
  }
}

interface Pieces extends RepairParts {
  readonly path: string
  readonly bytes: Uint8Array
  readonly before: SegmentOnDisk | null
  readonly damaged: readonly DamagedStretch[]
  readonly remembered: number | null
  readonly header: SegmentHeader | null
}

async function piecesOf(parts: Pieces): Promise<readonly Uint8Array[]> {
  const { bytes, damaged, remembered } = parts
  const pieces: Uint8Array[] = []
  let at = 0
  for (const stretch of damaged) {
    pieces.push(bytes.subarray(at, stretch.from))
    const head = stretch.from === 0 && parts.header === null ? await headerBytes(parts) : new Uint8Array(0)
    pieces.push(head)
    const isLast = stretch === damaged.at(-1) && stretch.to >= Math.min(bytes.length, remembered ?? bytes.length)
    const room = isLast ? (remembered === null ? null : remembered - stretch.from) : stretch.to - stretch.from
    pieces.push(...(await framesFor(parts, stretch, room === null ? null : room - head.length)))
    at = isLast ? bytes.length : stretch.to
  }
  pieces.push(bytes.subarray(at, Math.max(at, remembered ?? bytes.length)))
  return pieces
}

async function headerBytes({ before, first, vkey, path }: Pieces): Promise<Uint8Array> {
  const origin = vkey.slice(0, vkey.indexOf('+'))
  if (first === 0) return encodeSegmentHeader({ v: 1, origin, vkey, first, previous: null }, crc32)
  if (before === null) throw refused('damage_unfit', path, 'the segment before it, which its header names')
  const { length } = await readFile(before.path)
  return encodeSegmentHeader({ v: 1, origin, vkey, first, previous: { first: before.first, bytes: length } }, crc32)
}

/** Frames for the entries of a stretch that fill `room` exactly; as short as may be where room does not matter. */
async function framesFor(
  parts: Pieces,
  { first, end }: DamagedStretch,
  room: number | null,
): Promise<readonly Uint8Array[]> {
  const count = end - first
  const bytes = room ?? count * MIN_ABSENT_FRAME_BYTES
  const most = FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES
  if (count === 0 ? bytes !== 0 : bytes < count * MIN_ABSENT_FRAME_BYTES || bytes > count * most)
    throw refused('damage_unfit', parts.path, `${count} entries in ${bytes} bytes`)
  const out: Uint8Array[] = []
  let left = bytes
  for (let index = first; index < end; index++) {
    const length = Math.floor(left / (end - index))
    left -= length
    const leaf = await bundled(parts, index)
    if (!(await isSigned(parts, index, leaf)))
      throw refused('damage_lost', parts.path, `a copy that holds entry ${index}, or its entry bundle`)
    const { time, digest } = parseLeaf(leaf)
    out.push(encodeAbsentFrame({ index, batch: first, time, digest, reason: 'damaged' }, length, crc32))
  }
  return out
}

function checkRepaired(path: string, bytes: Uint8Array, remembered: number | null): void {
  const { fault } = scanSegment(bytes, crc32)
  if (fault === null && (remembered === null || bytes.length === remembered)) return
  throw refused('damage_unfit', path, 'a segment that can be read after it')
}

const messages: Readonly<Record<string, string>> = {
  damage_none: 'there is nothing to accept',
  damage_lost: 'entries are gone that nothing accounts for; those after them would get other indices',
  damage_unfit: 'the damage cannot be set aside on its own',
}

function refused(code: string, where: string, expected: string): DoorwardError {
  const next = 'restore this file from a copy or from the second sink'
  return new DoorwardError(code, messages[code] ?? code, { where, expected, next })
}
