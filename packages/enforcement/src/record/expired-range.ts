/**
 * The entries at the beginning of a log whose payloads have expired: their segments are gone, their leaves stay in the
 * entry bundles. Which they are, a marker beside the segments says; it is believed only with the entry of the log that it
 * names, under a checkpoint.
 */

import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DoorwardError,
  EXPIRY_FILE,
  SEGMENTS_FOLDER,
  TILE_WIDTH,
  buildInclusionProof,
  formatExpiry,
  fromUtf8,
  isDoorwardError,
  leafHash,
  leafOfFrame,
  parseEntryBundle,
  parseExpiry,
  parseSegmentName,
  saysExpired,
  tilePath,
  utf8,
  verifyInclusion,
} from '@doorward/core'
import type { ExpiryMarker, JournalFrame, ReadSubtree, Sha256 } from '@doorward/core'
import type { RecordDisk } from './disk.ts'
import { isSaid } from './intention.ts'
import { corrupt, readSegment } from './segment-files.ts'
import type { SegmentFile } from './segment-files.ts'

/** Reads the marker of the log `origin`; null when nothing has expired. Throws `record_expiry_unproven` for what is no marker. */
export async function readExpiry(folder: string, origin: string): Promise<ExpiryMarker | null> {
  const path = join(folder, EXPIRY_FILE)
  let text: string
  try {
    text = fromUtf8(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    if (isDoorwardError(error)) throw unproven(folder, 'a marker that can be read')
    throw error
  }
  const marker = parseExpiry(origin, text)
  if (marker === null) throw unproven(folder, `a marker of ${origin}`)
  return marker
}

/** Durable when it resolves. */
export function writeExpiry(disk: RecordDisk, folder: string, origin: string, marker: ExpiryMarker): Promise<void> {
  const bytes = utf8(formatExpiry(origin, marker))
  return disk.replace([{ path: join(folder, EXPIRY_FILE), bytes }], 'durable')
}

/** A full bundle of the log in `folder`. Throws `record_corrupt` naming the file that is missing or no bundle. */
export async function readFullBundle(folder: string, bundle: number): Promise<readonly Uint8Array[]> {
  const path = join(folder, tilePath({ level: 'entries', index: bundle, width: TILE_WIDTH }))
  const expected = `the ${TILE_WIDTH} leaves from entry ${bundle * TILE_WIDTH} on`
  try {
    const leaves = parseEntryBundle(await readFile(path))
    if (leaves.length === TILE_WIDTH) return leaves
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (!missing && !isDoorwardError(error)) throw error
    throw corrupt(path, 0, expected, error)
  }
  throw corrupt(path, 0, expected)
}

/** The leaves of the entries from `from`, a multiple of 256, up to `end`, exclusive. Throws as `readFullBundle`. */
export async function* expiredLeaves(folder: string, from: number, end: number): AsyncGenerator<Uint8Array> {
  for (let first = from; first < end; first += TILE_WIDTH) {
    const leaves = await readFullBundle(folder, first / TILE_WIDTH)
    yield* leaves.slice(0, end - first)
  }
}

export interface ExpiryProof {
  readonly folder: string
  readonly segments: readonly SegmentFile[]
  readonly sha256: Sha256
  /** Entries that checkpoints cover; the journal from `whole` on was compared with them. */
  readonly covered: number
  /** The tree of the first `whole` entries, which these checkpoints cover, as its tiles have it. */
  readonly whole: number
  readonly root: Uint8Array
  readonly read: ReadSubtree
}

/**
 * Believes a marker by the entry that it names. Throws `record_expiry_unproven`, `record_corrupt`, and what says only that
 * tiles are not to be relied on: `record_forked`, `tile_missing`, `tile_malformed`.
 */
export async function proveExpiry({ end, entry }: ExpiryMarker, proof: ExpiryProof): Promise<void> {
  const { folder, segments, sha256, covered, whole, root, read } = proof
  const frame = entry < covered ? await frameOf(segments, entry) : null
  if (frame === null || !isSaid(frame, (said) => saysExpired(said, end))) {
    throw unproven(folder, `that entry ${entry} is signed and says that all before entry ${end} have expired`)
  }
  if (entry >= whole) return
  const hash = leafHash(sha256, leafOfFrame(sha256, frame))
  const hashes = await buildInclusionProof(sha256, { index: entry, size: whole }, read)
  if (verifyInclusion(sha256, { index: entry, size: whole, leafHash: hash, root, proof: hashes })) return
  throw new DoorwardError('record_forked', 'tiles and journal do not agree', { where: folder, got: `entry ${entry}` })
}

async function frameOf(segments: readonly SegmentFile[], index: number): Promise<JournalFrame | null> {
  const segment = segments.findLast(({ header }) => header.first <= index)
  if (segment === undefined) return null
  return (await readSegment(segment)).frames[index - segment.header.first] ?? null
}

/** Removes the segments of expired entries, durably. What is gone already is fine. */
export async function removeExpired(disk: RecordDisk, folder: string, end: number): Promise<void> {
  const place = join(folder, SEGMENTS_FOLDER)
  const there = end === 0 ? [] : await readdir(place)
  const names = there.filter((name) => (parseSegmentName(name) ?? end) < end)
  if (names.length > 0) await disk.remove(names.toSorted().map((name) => join(place, name)))
}

function unproven(folder: string, expected: string): DoorwardError {
  return new DoorwardError('record_expiry_unproven', 'the log does not say that its first entries have expired', {
    where: join(folder, EXPIRY_FILE),
    expected,
    next: 'put the segments and the marker back from a copy: nobody may delete entries but the log itself',
  })
}
