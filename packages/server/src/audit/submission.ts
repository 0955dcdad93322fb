/** Showing a log to a witness: its newest checkpoint, and the proof that it follows from the one that the witness knows. */

import {
  DoorwardError,
  buildConsistencyProof,
  formatAddCheckpoint,
  isDoorwardError,
  parseCheckpoint,
  parseNote,
  rangeRoot,
} from '@doorward/core'
import type { Checkpoint, ReadSubtree, Sha256 } from '@doorward/core'
import { checkpointNoteOf } from './log-folder.ts'
import { subtreesIn } from './prove-tiles.ts'

export interface Submission {
  /** The body of `add-checkpoint` (C2SP tlog-witness). */
  readonly body: string
  readonly note: string
  readonly size: number
}

/** The writer replaces partial tiles while they are read. */
const MAX_ATTEMPTS = 5

/**
 * From the log in `folder`, of which a witness knows `oldSize` entries; `behind` when it has fewer. Throws
 * `log_not_found` without a checkpoint, `tile_missing` and `tile_malformed` for a tree that is damaged.
 */
export function submissionOf(
  sha256: Sha256,
  folder: string,
  oldSize: number,
): Promise<Submission | { readonly behind: Checkpoint }> {
  return withTiles(sha256, folder, async ({ note, checkpoint, read }) => {
    const { size } = checkpoint
    if (oldSize > size) return { behind: checkpoint }
    const proof = await buildConsistencyProof(sha256, { older: oldSize, newer: size }, read)
    return { body: formatAddCheckpoint({ oldSize, proof, note }), note, size }
  })
}

/** The root over the first `size` entries of the log in `folder`; null when its checkpoint covers fewer. Throws as above. */
export function rootAt(sha256: Sha256, folder: string, size: number): Promise<Uint8Array | null> {
  return withTiles(sha256, folder, async ({ checkpoint, read }) =>
    size > checkpoint.size ? null : rangeRoot(sha256, [0, size], read),
  )
}

interface Tiles {
  readonly note: string
  readonly checkpoint: Checkpoint
  readonly read: ReadSubtree
}

async function withTiles<T>(sha256: Sha256, folder: string, work: (tiles: Tiles) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const note = await checkpointNoteOf(folder)
    if (note === null) throw new DoorwardError('log_not_found', 'the log has no checkpoint yet', { where: folder })
    const checkpoint = parseCheckpoint(parseNote(note).text)
    const read = subtreesIn(folder, checkpoint.size, sha256)
    try {
      return await work({ note, checkpoint, read })
    } catch (error) {
      if (attempt >= MAX_ATTEMPTS || !isDoorwardError(error, 'tile_missing')) throw error
    }
  }
}
