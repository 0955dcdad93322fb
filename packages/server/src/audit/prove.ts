/** Proofs out of a log's own files: that an entry stands in it, and that it still contains an older checkpoint. */

import {
  DoorwardError,
  buildConsistencyProof,
  buildInclusionProof,
  encodeProofExtra,
  formatLogProof,
  isDoorwardError,
  openCheckpoint,
  openLogProof,
  verifyConsistency,
} from '@doorward/core'
import type { NoteVerifier, ProofExtra, Sha256, SignedCheckpoint } from '@doorward/core'
import { checkpointNoteOf } from './log-folder.ts'
import { EntryLookup } from './log-set-journal.ts'
import { leafOf, subtreesIn } from './prove-tiles.ts'

export interface ProvableLog {
  readonly folder: string
  /** The log's key, from somewhere other than this folder. */
  readonly verifier: NoteVerifier
  readonly sha256: Sha256
}

export interface ProveOptions extends ProvableLog {
  readonly index: number
  /** `entry`: with salt and payload, for everybody who may read them; `receipt`: nothing of what the entry says. */
  readonly show: 'entry' | 'receipt'
  /** Kept where many entries of one log are asked for. */
  readonly lookup?: EntryLookup
}

const ATTEMPTS = 5

/**
 * The text of a proof against the newest checkpoint, checked as its reader will check it. Throws `entry_unsigned` while no
 * checkpoint covers the entry, `payload_absent` where it is to be shown and has expired or was redacted, the codes of
 * `openCheckpoint` and `openLogProof` where log and signature do not agree, `checkpoint_missing`, `record_corrupt`,
 * `tile_missing` and `tile_malformed`.
 */
export async function proveEntry(options: ProveOptions): Promise<string> {
  const { folder, index, verifier, sha256 } = options
  return besideWriter(async () => {
    const checkpoint = await newestCheckpoint(options)
    const { size } = checkpoint
    if (index >= size) throw unsigned(checkpoint, index)
    const extra = encodeProofExtra(await extraOf(options, size))
    const hashes = await buildInclusionProof(sha256, { index, size }, subtreesIn(folder, size, sha256))
    const text = formatLogProof({ index, hashes, checkpoint: checkpoint.note, extra })
    openLogProof(sha256, text, verifier)
    return text
  })
}

async function extraOf({ folder, index, show, lookup }: ProveOptions, size: number): Promise<ProofExtra> {
  const leaf = await leafOf(folder, { index, size })
  if (show === 'receipt') return { leaf, opening: null }
  const { frame, why } = await (lookup ?? new EntryLookup(folder)).read(index, size)
  if (frame !== null) return { leaf, opening: { salt: frame.salt, payload: frame.payload } }
  throw new DoorwardError('payload_absent', 'what the entry says is gone', {
    where: `entry ${index}`,
    got: why ?? 'missing',
    next: 'a receipt can still be made: it proves place, time and digest (--receipt)',
  })
}

export interface ConsistencyReport {
  readonly older: SignedCheckpoint
  readonly newer: SignedCheckpoint
  /** False: the log that is here is not a continuation of the one that was signed then. */
  readonly holds: boolean
}

/** Whether the log still begins with what an older checkpoint was signed over, by its tiles. Throws as `proveEntry`. */
export async function proveConsistency(log: ProvableLog, olderNote: string): Promise<ConsistencyReport> {
  const { folder, verifier, sha256 } = log
  const older = openCheckpoint(olderNote, verifier)
  return besideWriter(async () => {
    const newer = await newestCheckpoint(log)
    if (older.size > newer.size) return { older, newer, holds: false }
    const read = subtreesIn(folder, newer.size, sha256)
    const proof = await buildConsistencyProof(sha256, { older: older.size, newer: newer.size }, read)
    return { older, newer, holds: verifyConsistency(sha256, { older, newer, proof }) }
  })
}

/** The log's own checkpoint, believed. Throws `checkpoint_missing` and the codes of `openCheckpoint`. */
export async function newestCheckpoint({ folder, verifier }: Omit<ProvableLog, 'sha256'>): Promise<SignedCheckpoint> {
  const note = await checkpointNoteOf(folder)
  if (note !== null) return openCheckpoint(note, verifier)
  throw new DoorwardError('checkpoint_missing', 'the log has no checkpoint', { where: folder })
}

/** A writer may take the tiles of an older checkpoint away while they are read: then the newest one is looked at again. */
async function besideWriter<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt === ATTEMPTS || !isDoorwardError(error, 'tile_missing')) throw error
    }
  }
}

function unsigned({ origin, size }: SignedCheckpoint, index: number): DoorwardError {
  return new DoorwardError('entry_unsigned', 'no checkpoint covers this entry', {
    where: `${origin}#${index}`,
    expected: `an index below ${size}`,
    next: 'an entry that was just made is covered within a second; check the id',
  })
}
