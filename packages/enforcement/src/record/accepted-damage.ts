/**
 * Going on after damage that an operator has accepted. A note says which entries it is about; with it the damaged segment is
 * put aside under another name and its repaired form put in its place. The next start begins a new segment, and its first
 * entry says so.
 */

import { link } from 'node:fs/promises'
import { join } from 'node:path'
import { ACCEPT_DAMAGE_CHANGE, DoorwardError, absenceSaidBy } from '@doorward/core'
import type { RecordDisk } from './disk.ts'
import { readExpiry } from './expired-range.ts'
import type { FileRecord } from './file-record.ts'
import { findEntry, intend, intentionPath, readIntention } from './intention.ts'
import { lockLog } from './writer-lock.ts'

export interface AcceptedDamage {
  /** The log's folder. */
  readonly folder: string
  /** The segment. */
  readonly path: string
  readonly repaired: Uint8Array
  /** Where the damaged one goes; must not be there. */
  readonly aside: string
  /** Entries that the newest checkpoint covers. */
  readonly covered: number
  readonly ranges: readonly { readonly first: number; readonly end: number }[]
  readonly reason: string
  readonly by: string
}

/** Ranges of one segment that are told one by one. */
const MAX_RANGES = 100

/** Nobody else may write the log while `work` runs. Throws `record_locked`. */
export async function withLogLocked<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const lock = lockLog(join(folder, 'writer.lock'))
  try {
    return await work()
  } finally {
    lock.release()
  }
}

/**
 * Under `withLogLocked`. A crash leaves the damaged segment in its place, or the repaired one with the note. Throws
 * `damage_pending` while the log has not said yet what was accepted before.
 */
export async function setDamageAside(disk: RecordDisk, accepted: AcceptedDamage): Promise<void> {
  const { folder, path, repaired, aside, covered, ranges, reason, by } = accepted
  const note = intentionPath(folder, 'accepting')
  const [first, end] = [ranges[0]?.first ?? 0, ranges.at(-1)?.end ?? 0]
  const pending = await readIntention(note)
  if (pending !== null && (pending['first'] !== first || pending['end'] !== end)) {
    throw new DoorwardError('damage_pending', 'the log has not said yet what was accepted before', {
      where: note,
      next: 'start its writer once: the first thing that it records is this',
    })
  }
  const damaged = ranges.slice(0, MAX_RANGES).map((range) => [range.first, range.end])
  await intend(disk, note, { after: covered, first, end, reason, by, file: path, aside, damaged })
  await link(path, aside)
  await disk.replace([{ path, bytes: repaired }], 'durable')
}

/** True when the next start has something to say: then it begins a new segment. */
export async function isDamageAccepted(folder: string): Promise<boolean> {
  return (await readIntention(intentionPath(folder, 'accepting'))) !== null
}

/** Before anybody else writes: the entry that says what was accepted, once. */
export async function recordAcceptedDamage(record: FileRecord, folder: string, origin: string): Promise<void> {
  const path = intentionPath(folder, 'accepting')
  const accepted = await readIntention(path)
  if (accepted === null) return
  const { after, first, end, reason, by, file, aside, damaged } = accepted
  const expired = (await readExpiry(folder, origin))?.end ?? 0
  const says = (said: Parameters<typeof absenceSaidBy>[0]): boolean => {
    const absence = absenceSaidBy(said)
    return absence?.reason === 'damaged' && absence.first === first && absence.end === end
  }
  if ((await findEntry({ folder, expired, after, end: record.stats().size, says })) === null) {
    const body = { change: ACCEPT_DAMAGE_CHANGE, first, end, reason, by, file, set_aside: aside, damaged }
    await record.append({ kind: 'admin', body })
  }
  await record.checkpoint()
  await record.disk.remove([path])
}
