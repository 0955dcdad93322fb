/** Accepts the damage of one segment of a log on this machine, while nobody writes it. */

import { basename } from 'node:path'
import { DoorwardError, isDoorwardError, openCheckpoint, parseSegmentName } from '@doorward/core'
import type { SignedCheckpoint } from '@doorward/core'
import { fileCheckpointStore, fileDisk, setDamageAside, withLogLocked } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { repairSegment } from '../audit/fsck/repair.ts'
import { checkpointNoteOf } from '../audit/log-folder.ts'
import { userName } from '../config/machine.ts'
import { readVerifierKey } from './log-places.ts'
import type { LogPlace } from './log-places.ts'
import { verifierOf } from './prove-log.ts'

export interface AcceptedSegment {
  readonly origin: string
  readonly file: string
  /** Where the damaged one lies now. */
  readonly aside: string
  /** Entries of which only place, time and digest are left; exclusive at their ends. */
  readonly ranges: readonly { readonly first: number; readonly end: number }[]
}

/**
 * Throws `record_locked` while the writer runs, `damage_none`, `damage_lost`, `damage_unfit`, `damage_pending`,
 * `checkpoint_missing`, `log_key_missing` and `log_unknown` for a file that is no segment of the log.
 */
export async function acceptDamage(
  { origin, folder }: LogPlace,
  copyDir: string,
  { file, reason }: { readonly file: string; readonly reason: string },
): Promise<AcceptedSegment> {
  const first = parseSegmentName(basename(file))
  if (first === null) {
    const next = 'tiles and index are derived: what is damaged of them is removed or put back, and needs no consent'
    throw new DoorwardError('log_unknown', 'not a segment of the journal', { got: file, next })
  }
  const vkey = await readVerifierKey(copyDir, origin)
  if (vkey === null)
    throw new DoorwardError('log_key_missing', 'the verifier key of the log is not kept here', { where: copyDir })
  return withLogLocked(folder, async () => {
    const checkpoint = await newestOf(origin, folder, { copyDir, vkey })
    const { path, bytes, ranges } = await repairSegment({ folder, first, vkey, checkpoint, sha256 })
    const aside = `${path}.damaged-${checkpoint.size}`
    const by = `local:${userName()}`
    const covered = checkpoint.size
    await setDamageAside(fileDisk, { folder, path, repaired: bytes, aside, covered, ranges, reason, by })
    return { origin, file: path, aside, ranges }
  })
}

/** Of the log's own and its second copy, the one that is further; one that cannot be believed does not count. */
async function newestOf(
  origin: string,
  folder: string,
  { copyDir, vkey }: { readonly copyDir: string; readonly vkey: string },
): Promise<SignedCheckpoint> {
  const notes = [await checkpointNoteOf(folder), await fileCheckpointStore(copyDir, origin).newest()]
  const believed = notes.flatMap((note) => {
    try {
      return note === null ? [] : [openCheckpoint(note, verifierOf(vkey))]
    } catch (error) {
      if (isDoorwardError(error)) return []
      throw error
    }
  })
  const [newest] = believed.toSorted((a, b) => b.size - a.size)
  if (newest !== undefined) return newest
  throw new DoorwardError('checkpoint_missing', 'nothing signed says what the log held', {
    where: folder,
    next: 'put a checkpoint of it back: its own, or the second copy',
  })
}
