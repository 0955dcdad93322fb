/** Opening a log for writing. */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, epochMillis, formatVerifierKey, verifierKey } from '@doorward/core'
import type { Clock, NoteSigner, NoteVerifier, RandomBytes, Sha256 } from '@doorward/core'
import { isDamageAccepted, recordAcceptedDamage } from './accepted-damage.ts'
import { CheckpointPublisher } from './checkpoint-publisher.ts'
import type { CheckpointStore } from './checkpoint-store.ts'
import type { RecordDisk } from './disk.ts'
import type { LogKey } from './ed25519.ts'
import { fileDisk } from './file-disk.ts'
import { FileRecord, RECORD_LIMITS } from './file-record.ts'
import type { RecordLimits } from './file-record.ts'
import { JournalWriter } from './journal-writer.ts'
import type { JournalSettings, JournalTail } from './journal-writer.ts'
import { LogTree } from './log-tree.ts'
import { checkOwner, readOwnCheckpoints } from './own-checkpoints.ts'
import type { OwnCheckpoints } from './own-checkpoints.ts'
import { recover } from './recovery.ts'
import { finishOverwriting } from './redaction.ts'
import type { Recovered } from './recovery.ts'
import { RESERVE_FILE, Reserve } from './reserve.ts'
import { SecondSink, sinkFolder } from './second-sink.ts'
import { listSegments } from './segment-files.ts'
import { readExpiry, removeExpired } from './expired-range.ts'
import { Suspension } from './suspension.ts'
import { lockLog } from './writer-lock.ts'

export interface OpenRecordOptions {
  /** The log's own folder; made with mode 0700 when missing. */
  readonly dir: string
  /** `<trust domain>/authority` or `<trust domain>/gateway/<name>`: no spaces, no plus. */
  readonly origin: string
  readonly signKey: LogKey
  readonly sha256: Sha256
  readonly random: RandomBytes
  readonly clock: Clock
  /** Milliseconds that never go back: by them commits are timed, which they are not without. */
  readonly monotonic?: () => number
  /** The second copy; must not live in `dir`. */
  readonly checkpointStore: CheckpointStore
  /**
   * Accept that the second copy has never heard of a log that has entries. Only for an operator who has lost the
   * copy and vouches for the log; default false.
   */
  readonly acceptMissingCopy?: boolean
  /** False where there has been a log: none, and a second copy that knows of none, is then a loss. Default true. */
  readonly mayBegin?: boolean
  readonly disk?: RecordDisk
  readonly limits?: Partial<RecordLimits>
  /** Folder on another disk in which every entry has to be durable, too, before it is acknowledged; none by default. */
  readonly secondSink?: string
  /** Told of what an operator should know; nobody by default. Codes: `record_sink_same_disk`, `record_reserve_missing`. */
  readonly warn?: (code: string, text: string) => void
}

/**
 * Opens or begins the log and publishes a checkpoint over all it holds. Reads the entries after the last checkpoint;
 * the others only when the tiles do not give the signed root. Throws
 *
 * - `record_locked`: another writer is alive;
 * - `record_foreign`: the folder or the second copy belongs to another log or key;
 * - `record_rollback`, `record_copy_missing`: the log, or the second copy, is not as far as it once was;
 * - `record_sink_missing`, and the others of a second sink (`second-sink.ts`);
 * - `record_missing`: there is no trace of a log where there has been one;
 * - `record_forked`: the entries are not those that were signed;
 * - `record_corrupt`, `record_gap`: damage, naming file and byte, or missing entries;
 * - `record_expiry_unproven`: entries are said to have expired, and the log does not say so;
 * - `vkey_malformed`: the origin cannot name a key.
 */
export async function openRecord(options: OpenRecordOptions): Promise<FileRecord> {
  const lock = lockLog(join(options.dir, 'writer.lock'))
  try {
    return await openLocked(options, () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

async function openLocked(options: OpenRecordOptions, release: () => void): Promise<FileRecord> {
  const { dir, origin, signKey, sha256, checkpointStore: store, disk = fileDisk } = options
  const limits = { ...RECORD_LIMITS, ...options.limits }
  const vkey = verifierKey(sha256, origin, signKey.publicKey)
  const signer: NoteSigner = { name: origin, keyId: vkey.keyId, key: signKey.sign }
  const verifier: NoteVerifier = { name: origin, keyId: vkey.keyId, key: signKey.verify }
  const settings = { folder: dir, origin, vkey: formatVerifierKey(vkey), segmentBytes: limits.segmentBytes }

  const checkpoints = await readOwnCheckpoints(dir, store, verifier)
  const { secondSink } = options
  const sink = secondSink === undefined ? null : new SecondSink({ ...settings, dir: secondSink, disk })
  await finishOverwriting(disk, dir, dir)
  if (secondSink !== undefined) await finishOverwriting(disk, dir, sinkFolder(secondSink, origin))
  const covered = Math.max(checkpoints.local?.size ?? 0, checkpoints.copy?.size ?? 0)
  const expired = (await readExpiry(dir, origin))?.end ?? 0
  await sink?.reconcile({ covered, expired })
  const recovered = await recoverOrBegin(options, disk, { settings, checkpoints })
  // What a crash has left of them; before the sink is made what the log is.
  await removeExpired(disk, dir, expired)
  await sink?.align(covered)
  if (secondSink !== undefined) await warnOfSameDisk(options, secondSink)
  const copy = checkpoints.copy?.note ?? null
  const journalDisk = sink?.mirror() ?? disk
  const publisher = new CheckpointPublisher({ folder: dir, disk, store, signer, verifier }, copy)
  const journal = new JournalWriter(journalDisk, settings, recovered.tail)
  // What comes after damage stands apart from it.
  if (await isDamageAccepted(dir)) await journal.repair()
  const record = new FileRecord({
    ...options,
    ...recovered,
    disk: journalDisk,
    limits,
    publisher,
    journal,
    suspension: suspensionOf(options, limits),
    release,
  })
  // Always, even over nothing new: it also writes the partial tiles that a crash of the machine may have spoilt.
  await record.checkpoint()
  await recordAcceptedDamage(record, dir, origin)
  return record
}

async function recoverOrBegin(
  { dir, sha256, acceptMissingCopy = false, mayBegin = true }: OpenRecordOptions,
  disk: RecordDisk,
  { settings, checkpoints }: { readonly settings: JournalSettings; readonly checkpoints: OwnCheckpoints },
): Promise<Recovered> {
  const expired = await readExpiry(dir, settings.origin)
  const segments = await listSegments(dir, expired?.end)
  checkOwner(segments, settings)
  const empty =
    segments.length === 0 &&
    expired === null &&
    (checkpoints.local?.size ?? 0) === 0 &&
    (checkpoints.copy?.size ?? 0) === 0
  if (empty && !mayBegin) {
    throw new DoorwardError('record_missing', 'the log and its second copy are missing', {
      where: dir,
      expected: `the log of ${settings.origin}`,
      next: 'put both back: a new log would give the names of its entries a second time',
    })
  }
  const recovered = empty
    ? freshLog(sha256, await JournalWriter.begin(disk, settings))
    : await recover({ folder: dir, expired, segments, checkpoints, sha256, disk })
  if (checkpoints.copy === null && !acceptMissingCopy && (recovered.tree.size > 0 || checkpoints.local !== null)) {
    throw new DoorwardError('record_copy_missing', 'the second copy of the checkpoint does not know this log', {
      where: dir,
      expected: `a checkpoint of ${settings.origin}`,
      next: 'put the second copy back; without it nobody can tell whether the log was cut',
    })
  }
  return recovered
}

function suspensionOf({ dir, origin, secondSink, warn }: OpenRecordOptions, limits: RecordLimits): Suspension {
  const folders = secondSink === undefined ? [dir] : [dir, sinkFolder(secondSink, origin)]
  const paths = folders.map((folder) => join(folder, RESERVE_FILE))
  const text = `no space for the reserve of ${limits.reserveBytes} bytes in ${folders.join(' or ')}`
  return new Suspension({
    reserve: new Reserve(paths, limits.reserveBytes),
    onMissing: () => warn?.('record_reserve_missing', text),
  })
}

async function warnOfSameDisk({ dir, warn }: OpenRecordOptions, secondSink: string): Promise<void> {
  const [ours, theirs] = await Promise.all([stat(dir), stat(secondSink)])
  if (ours.dev !== theirs.dev) return
  warn?.(
    'record_sink_same_disk',
    `the second sink ${secondSink} is on the same disk as the log: both are lost together`,
  )
}

function freshLog(sha256: Sha256, tail: JournalTail): Recovered {
  return { tree: LogTree.empty(sha256), tail, lastTime: epochMillis(0) }
}
