/** C2SP tlog-checkpoint: what a log signs about itself, its origin, size and root. */

import { fromBase64, toBase64 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import { HASH_BYTES } from './merkle-tree.ts'
import { openNote, parseNote, signNote } from './signed-note.ts'
import type { NoteSigner, NoteVerifier } from './signed-note.ts'

export interface Checkpoint {
  /** Which log, for instance `acme.example/gateway/main`; also the name of its key. */
  readonly origin: string
  readonly size: number
  /** RFC 6962 root, 32 bytes. */
  readonly root: Uint8Array
}

/** A checkpoint with the note that proves it. */
export interface SignedCheckpoint extends Checkpoint {
  readonly note: string
}

/** The note text: origin, decimal size and base64 root, one line each. No extension lines. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  return `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(checkpoint.root)}\n`
}

/** Parses a note text; ours never has extension lines, so they are refused. Throws `checkpoint_malformed`. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n')
  const [origin, digits, encoded] = lines
  if (lines.length !== 4 || lines[3] !== '' || origin === undefined || origin === '') throw malformed('three lines')
  if (digits === undefined || !/^(0|[1-9][0-9]{0,15})$/.test(digits) || !Number.isSafeInteger(Number(digits))) {
    throw malformed('a decimal size below 2^53')
  }
  const root = fromBase64(encoded ?? '')
  if (root?.length !== HASH_BYTES) throw malformed('a root of 32 bytes in base64')
  return { origin, size: Number(digits), root }
}

export async function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): Promise<SignedCheckpoint> {
  return { ...checkpoint, note: await signNote(formatCheckpoint(checkpoint), signer) }
}

/**
 * Believes a checkpoint of the log that `verifier` names. Throws `note_malformed`, `note_unverified`,
 * `checkpoint_malformed`, or `checkpoint_foreign` when it speaks of another origin than the key's name.
 */
export function openCheckpoint(note: string, verifier: NoteVerifier): SignedCheckpoint {
  const checkpoint = parseCheckpoint(openNote(note, [verifier]))
  if (checkpoint.origin !== verifier.name) {
    throw new DoorwardError('checkpoint_foreign', 'checkpoint is of another log', {
      expected: verifier.name,
      got: checkpoint.origin,
    })
  }
  return { ...checkpoint, note }
}

/** The origin that a note claims, unverified: for error messages only. Null when it has no such line. */
export function claimedOrigin(note: string): string | null {
  try {
    return parseNote(note).text.split('\n')[0] ?? null
  } catch {
    return null
  }
}

function malformed(expected: string): DoorwardError {
  return new DoorwardError('checkpoint_malformed', 'note text is not a checkpoint', { expected })
}
