/** How much of a log waits to be delivered, and from where on retention must leave it alone: the journal is the spool. */

import { stat } from 'node:fs/promises'
import { claimedCheckpointOf, segmentsOf, whenThere } from '../log-folder.ts'

export interface Backlog {
  /** Entries that a checkpoint covers. */
  readonly entries: number
  /** Of the journal. Within a segment entries count as equally long. */
  readonly bytes: number
}

interface Stretch {
  readonly first: number
  /** Exclusive. */
  readonly end: number
  readonly bytes: number
}

/** What waits from `next` on. */
export async function backlogOf(folder: string, next: number): Promise<Backlog> {
  const stretches = await stretchesOf(folder)
  const size = stretches.at(-1)?.end ?? 0
  const bytes = stretches.reduce((sum, stretch) => sum + bytesFrom(stretch, next), 0)
  return { entries: Math.max(0, size - next), bytes: Math.round(bytes) }
}

/**
 * The oldest entry that has to be kept for an export which wants to go on at `next`: that one, as long as no more than
 * `spoolBytes` wait; otherwise the first of the oldest segment from which on no more than that wait.
 */
export async function oldestKept(folder: string, next: number, spoolBytes: number): Promise<number> {
  const waiting = (await stretchesOf(folder)).filter(({ end }) => end > next)
  let bytes = 0
  for (const [back, stretch] of waiting.toReversed().entries()) {
    bytes += bytesFrom(stretch, next)
    if (bytes > spoolBytes) return waiting[waiting.length - back]?.first ?? stretch.end
  }
  return next
}

/** What retention asks of the exports of a log before it deletes. */
export interface ExportNeeds {
  /** Entries from this index on must be kept; `Number.MAX_SAFE_INTEGER` when no export needs any. */
  oldestNeeded(): Promise<number>
}

async function stretchesOf(folder: string): Promise<readonly Stretch[]> {
  const covered = (await claimedCheckpointOf(folder))?.size ?? 0
  const segments = await segmentsOf(folder)
  const sizes = await Promise.all(segments.map(({ path }) => whenThere(stat(path))))
  return segments
    .map(({ first }, i) => ({ first, end: segments[i + 1]?.first ?? covered, bytes: sizes[i]?.size ?? 0 }))
    .filter(({ first, end }) => end > first)
}

function bytesFrom({ first, end, bytes }: Stretch, next: number): number {
  if (next >= end) return 0
  return next <= first ? bytes : (bytes * (end - next)) / (end - first)
}
