/** The two checkpoints that a log is measured by when it is opened: its own file and the second copy. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CHECKPOINT_FILE,
  DoorwardError,
  claimedOrigin,
  equalBytes,
  hex,
  isDoorwardError,
  openCheckpoint,
  parseNote,
} from '@doorward/core'
import type { NoteVerifier, SignedCheckpoint } from '@doorward/core'
import type { CheckpointStore } from './checkpoint-store.ts'
import type { SegmentFile } from './segment-files.ts'

export interface OwnCheckpoints {
  readonly local: SignedCheckpoint | null
  readonly copy: SignedCheckpoint | null
}

/**
 * Reads both. Throws `record_foreign` for one of another log or key, `record_corrupt` for an unreadable one,
 * and `record_copy_missing` when the log has a past but the second copy has none.
 */
export async function readOwnCheckpoints(
  folder: string,
  store: CheckpointStore,
  verifier: NoteVerifier,
): Promise<OwnCheckpoints> {
  const path = join(folder, CHECKPOINT_FILE)
  const [localNote, copyNote] = await Promise.all([readIfThere(path), store.newest()])
  return {
    local: localNote === null ? null : believe(localNote, path, verifier),
    copy: copyNote === null ? null : believe(copyNote, 'the second copy of the checkpoint', verifier),
  }
}

function believe(note: string, where: string, verifier: NoteVerifier): SignedCheckpoint {
  const origin = claimedOrigin(note)
  if (origin !== null && origin !== verifier.name) throw foreign(where, verifier.name, origin)
  try {
    return openCheckpoint(note, verifier)
  } catch (cause) {
    if (isDoorwardError(cause, 'note_unverified')) {
      const ours = parseNote(note).signatures.some(
        (each) => each.name === verifier.name && equalBytes(each.keyId, verifier.keyId),
      )
      if (!ours) throw foreign(where, `a signature of key ${hex(verifier.keyId)}`, cause.got ?? 'another')
    }
    throw new DoorwardError('record_corrupt', 'checkpoint cannot be believed', {
      where,
      expected: 'a checkpoint signed by this log',
      next: 'restore it from a copy',
      cause,
    })
  }
}

/** Refuses segments that another log or key has written. Throws `record_foreign`. */
export function checkOwner(
  segments: readonly SegmentFile[],
  owner: { readonly origin: string; readonly vkey: string },
): void {
  for (const { path, header } of segments) {
    if (header.origin !== owner.origin) throw foreign(path, owner.origin, header.origin)
    if (header.vkey !== owner.vkey) throw foreign(path, owner.vkey, header.vkey)
  }
}

function foreign(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('record_foreign', 'this is the log of another writer', {
    where,
    expected,
    got,
    next: 'use the folder and key that belong together',
  })
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
