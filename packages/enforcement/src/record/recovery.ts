/**
 * Opening a log after whatever happened to it: find what was acknowledged, refuse what contradicts the checkpoints,
 * drop the torn tail of the last write, and derive again what a crash left underived.
 *
 * Entries in full tiles under a checkpoint are not read again when these give the signed root; checking every byte is
 * the verifier's work.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DoorwardError,
  epochMillis,
  equalBytes,
  isDoorwardError,
  leafHash,
  leafOfFrame,
  parseLeaf,
} from '@doorward/core'
import type {
  Checkpoint,
  EpochMillis,
  ExpiryMarker,
  ReadSubtree,
  SegmentScan,
  Sha256,
  SignedCheckpoint,
} from '@doorward/core'
import type { RecordDisk } from './disk.ts'
import { expiredLeaves, proveExpiry } from './expired-range.ts'
import type { JournalTail } from './journal-writer.ts'
import { LogTree } from './log-tree.ts'
import type { OwnCheckpoints } from './own-checkpoints.ts'
import { corrupt, readSegment } from './segment-files.ts'
import type { SegmentFile } from './segment-files.ts'
import { restoreTree } from './tile-files.ts'

export interface RecoverySource {
  readonly folder: string
  /** From where on the journal holds payloads, if it is not from its beginning. */
  readonly expired: ExpiryMarker | null
  readonly segments: readonly SegmentFile[]
  readonly checkpoints: OwnCheckpoints
  readonly sha256: Sha256
  readonly disk: RecordDisk
}

export interface Recovered {
  readonly tree: LogTree
  readonly tail: JournalTail
  readonly lastTime: EpochMillis
}

/** What wrong tiles look like, and the journal may answer. */
const DOUBTS: readonly string[] = ['record_forked', 'tile_missing', 'tile_malformed']
/** Full tiles held in memory before they are written out while deriving again. */
const PENDING_TILES = 256

/**
 * Throws `record_rollback` (entries that a checkpoint covers are gone), `record_forked` (they are others),
 * `record_corrupt` (damage before the tail), `record_gap`, `record_expiry_unproven`.
 */
export async function recover(source: RecoverySource): Promise<Recovered> {
  const anchors = [source.checkpoints.local, source.checkpoints.copy].filter((each) => each !== null)
  const stored = anchors.length === 0 ? nothingStored(source) : await fromTiles(source, anchors)
  if (stored !== null) {
    try {
      return await settle(source, anchors, stored)
    } catch (error) {
      // Wrong tiles or wrong entries: only the journal from its beginning tells.
      if (!isDoorwardError(error) || !DOUBTS.includes(error.code)) throw error
    }
  }
  // Judged first, written after: a forged journal must not overwrite the tiles that would convict it.
  const judged = LogTree.empty(source.sha256)
  await replay(source, judged, { anchors, spill: async () => judged.discard() })
  return settle(source, anchors, nothingStored(source))
}

/** A tree to begin with, and what its tiles hold. */
interface Stored {
  readonly tree: LogTree
  readonly read: ReadSubtree
}

function nothingStored({ sha256 }: RecoverySource): Stored {
  return { tree: LogTree.empty(sha256), read: () => Promise.reject(new DoorwardError('tile_missing', 'no tile yet')) }
}

async function settle(
  source: RecoverySource,
  anchors: readonly SignedCheckpoint[],
  { tree, read }: Stored,
): Promise<Recovered> {
  const [whole, root, covered] = [tree.size, tree.root(), coveredBy(anchors)]
  const { segment, scan } = await replay(source, tree, { anchors, spill: () => writeTiles(source, tree) })
  if (source.expired !== null) await proveExpiry(source.expired, { ...source, covered, whole, root, read })
  const tail = await settleTail(source, segment, { scan, covered })
  return { tree, tail, lastTime: scan.lastTime }
}

/** The full bundles under the newest checkpoint, if the tiles hold them and agree with older checkpoints; or null. */
async function fromTiles(source: RecoverySource, anchors: readonly SignedCheckpoint[]): Promise<Stored | null> {
  try {
    const { tree, read, rootAt } = await restoreTree(source.sha256, source.folder, coveredBy(anchors))
    for (const { size, root } of anchors) {
      if (size <= tree.size && !equalBytes(await rootAt(size), root)) return null
    }
    return { tree, read }
  } catch (error) {
    // Tiles are derived: what is wrong with them is put right from the journal.
    if (isDoorwardError(error)) return null
    throw error
  }
}

interface Replay {
  readonly anchors: readonly Checkpoint[]
  /** Called when many full tiles have gathered in memory. */
  readonly spill: () => Promise<void>
}

/**
 * Appends to `tree` what the journal holds beyond it, after the leaves of what has expired, and returns the last segment.
 * Writes nothing itself.
 */
async function replay(
  source: RecoverySource,
  tree: LogTree,
  { anchors, spill }: Replay,
): Promise<{ readonly segment: SegmentFile; readonly scan: SegmentScan & { readonly lastTime: EpochMillis } }> {
  const { segments, sha256 } = source
  const covered = coveredBy(anchors)
  checkAnchors(tree, anchors)
  let lastTime = epochMillis(0)
  const grow = async (leaf: Uint8Array): Promise<void> => {
    tree.append(leaf, leafHash(sha256, leaf))
    checkAnchors(tree, anchors)
    if (tree.pending >= PENDING_TILES) await spill()
  }
  for await (const leaf of expiredLeaves(source.folder, tree.size, source.expired?.end ?? 0)) {
    lastTime = parseLeaf(leaf).time
    await grow(leaf)
  }
  const from = segments.findLastIndex(({ header }) => header.first <= Math.max(0, tree.size - 1))
  for (const [i, segment] of segments.entries()) {
    if (i < from) continue
    const scan = await readSegment(segment)
    checkSegment(segment, scan, { next: segments[i + 1] ?? null, covered })
    for (const frame of scan.frames) {
      lastTime = frame.time
      if (frame.index < tree.size) continue
      await grow(leafOfFrame(sha256, frame))
    }
    if (i === segments.length - 1) return { segment, scan: { ...scan, lastTime } }
  }
  throw rollback(tree.size, covered, source.folder)
}

function coveredBy(anchors: readonly Checkpoint[]): number {
  return Math.max(0, ...anchors.map((each) => each.size))
}

/** Faults that are no torn tail: in an earlier segment, under a checkpoint, or followed by a later write. */
function checkSegment(
  segment: SegmentFile,
  scan: SegmentScan,
  { next, covered }: { readonly next: SegmentFile | null; readonly covered: number },
): void {
  const { fault } = scan
  const end = scan.header.first + scan.frames.length
  if (fault !== null && (fault.acknowledged || next !== null)) throw damaged(segment, scan, fault)
  if (next !== null && next.header.first !== end) throw gap(segment.path, end, next.header.first)
  if (next !== null || end >= covered) return
  // A file that just stops has been shortened; anything else in its place is damage.
  if (fault === null || fault.kind === 'cut') throw rollback(end, covered, `${segment.path}:${scan.offsets.at(-1)!}`)
  throw damaged(segment, scan, fault)
}

function damaged(segment: SegmentFile, scan: SegmentScan, fault: NonNullable<SegmentScan['fault']>): DoorwardError {
  const index = scan.header.first + scan.frames.length
  return corrupt(
    segment.path,
    fault.offset,
    fault.kind === 'gap' ? `entry ${index}, got another` : `the whole entry ${index}`,
  )
}

async function writeTiles(source: RecoverySource, tree: LogTree): Promise<void> {
  const snapshot = tree.snapshot()
  const files = snapshot.full.map((file) => ({ path: join(source.folder, file.path), bytes: file.bytes }))
  await source.disk.replace(files, 'durable')
  tree.published({ ...snapshot, partialPaths: [] })
}

function checkAnchors(tree: LogTree, anchors: readonly Checkpoint[]): void {
  for (const { size, root } of anchors) {
    if (size !== tree.size || equalBytes(root, tree.root())) continue
    throw new DoorwardError('record_forked', 'entries are not those that a checkpoint was signed over', {
      where: `the first ${size} entries`,
      next: 'the log was rewritten or replaced: restore it, and find out by whom',
    })
  }
}

/**
 * Cuts the torn end off the last segment and writes what no checkpoint covers once more: if an earlier process died
 * after its sync had failed, these pages may look clean in the cache and never have reached the disk.
 */
async function settleTail(
  { disk }: RecoverySource,
  segment: SegmentFile,
  { scan, covered }: { readonly scan: SegmentScan; readonly covered: number },
): Promise<JournalTail> {
  const end = scan.offsets.at(-1)!
  if (scan.fault !== null) await disk.truncate(segment.path, end)
  const kept = Math.max(0, Math.min(covered - scan.header.first, scan.frames.length))
  const start = scan.offsets[kept]!
  const file = await disk.openAppend(segment.path, start)
  try {
    if (start < end) await file.write((await readFile(segment.path)).subarray(start, end))
    await file.sync()
  } finally {
    await file.close()
  }
  const { first, previous } = scan.header
  return { first, previous, bytes: end, next: first + scan.frames.length }
}

function rollback(got: number, expected: number, where: string): DoorwardError {
  return new DoorwardError('record_rollback', 'the log is shorter than its checkpoint', {
    where,
    expected: `at least ${expected} entries`,
    got: `${got} entries`,
    next: 'an older copy is in place of the log: put the newest one back',
  })
}

function gap(path: string, expected: number, got: number): DoorwardError {
  return new DoorwardError('record_gap', 'entries between two segments are missing', {
    where: path,
    expected: `the next segment to begin with entry ${expected}`,
    got: `entry ${got}`,
    next: 'restore the missing entries; they cannot be replaced by others',
  })
}
