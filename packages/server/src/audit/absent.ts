/** Entries whose payloads are gone, as a reader finds them: by their leaves, with the time and the reason. */

import { DoorwardError, isDoorwardError, parseLeaf } from '@doorward/core'
import type { AbsentReason, EpochMillis } from '@doorward/core'
import { expiryOf, identityOf } from './log-folder.ts'
import { bundleOf } from './prove-tiles.ts'

/** `missing`: its segment is not there, and nothing beside the log says why. */
export type AbsentWhy = AbsentReason | 'expired' | 'missing'

export interface AbsentLeaf {
  readonly index: number
  readonly time: EpochMillis
  readonly why: AbsentWhy
}

interface Range {
  readonly from: number
  /** Exclusive. */
  readonly to: number
  /** Entries that a checkpoint covers. */
  readonly size: number
}

/** The entries of a range of which the journal has no frames. Throws `record_corrupt`, `tile_missing`, `tile_malformed`. */
export async function* absentLeaves(folder: string, { from, to, size }: Range): AsyncGenerator<AbsentLeaf> {
  const expired = await expiredEnd(folder)
  for (let index = from; index < to;) {
    const { first, leaves } = await bundleOf(folder, { index, size })
    const wanted = leaves.slice(index - first, to - first)
    if (wanted.length === 0)
      throw new DoorwardError('record_corrupt', `entry ${index} cannot be read`, {
        where: folder,
        next: 'doorward audit fsck',
      })
    for (const leaf of wanted) {
      yield { index, time: parseLeaf(leaf).time, why: index < expired ? 'expired' : 'missing' }
      index += 1
    }
  }
}

/** What the marker says, not believed: only words depend on it here. */
async function expiredEnd(folder: string): Promise<number> {
  try {
    return (await expiryOf(folder, (await identityOf(folder)).origin))?.end ?? 0
  } catch (error) {
    if (isDoorwardError(error)) return 0
    throw error
  }
}
