/**
 * C2SP tlog-witness: a log shows its newest checkpoint with a proof that it follows from the one before, and gets it
 * cosigned. What a witness has cosigned, it never takes back: a log that was cut, forked or put back is found here.
 */

import { equalBytes, fromBase64, toBase64 } from '../bytes.ts'
import { DoorwardError, isDoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { SignedCheckpoint } from './checkpoint.ts'
import { verifyConsistency } from './consistency-proof.ts'
import { HASH_BYTES } from './merkle-tree.ts'
import type { NoteVerifier } from './signed-note.ts'

/** The body of `add-checkpoint`. */
export interface AddCheckpoint {
  /** Size of the checkpoint that the witness is believed to have cosigned last; 0 for none. */
  readonly oldSize: number
  /** Hashes of the consistency proof from there (RFC 6962 section 2.1.2). */
  readonly proof: readonly Uint8Array[]
  /** The signed checkpoint. */
  readonly note: string
}

const MAX_PROOF_LINES = 63

export function formatAddCheckpoint({ oldSize, proof, note }: AddCheckpoint): string {
  return `old ${oldSize}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${note}`
}

/** Throws `witness_request_malformed`. The note is not looked into. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  const split = body.indexOf('\n\n')
  if (split < 0) throw malformed('an empty line before the checkpoint')
  const [first = '', ...lines] = body.slice(0, split).split('\n')
  const digits = /^old (0|[1-9][0-9]{0,15})$/.exec(first)?.[1]
  if (digits === undefined || !Number.isSafeInteger(Number(digits))) throw malformed('a first line "old" with a size')
  if (lines.length > MAX_PROOF_LINES) throw malformed(`at most ${MAX_PROOF_LINES} lines of proof`)
  const proof = lines.map((line) => {
    const hash = fromBase64(line)
    if (hash?.length !== HASH_BYTES) throw malformed('lines of proof of 32 bytes in base64')
    return hash
  })
  return { oldSize: Number(digits), proof, note: body.slice(split + 2) }
}

/** What a witness makes of a submission. Only `follows` may be cosigned, after it has been remembered. */
export type WitnessVerdict =
  | { readonly at: 'follows'; readonly checkpoint: SignedCheckpoint }
  /** The witness has cosigned another size last than the submission says. */
  | { readonly at: 'elsewhere'; readonly size: number; readonly checkpoint: SignedCheckpoint }
  /** Not signed by this log's key. */
  | { readonly at: 'unsigned' }
  /** The proof does not hold. */
  | { readonly at: 'unproven'; readonly checkpoint: SignedCheckpoint }
  /** The log has signed two trees of one size: it was forked, whatever its proof. */
  | { readonly at: 'forked'; readonly checkpoint: SignedCheckpoint }
  | { readonly at: 'malformed' }

/** `remembered`: the newest checkpoint of that log that was cosigned; null for none. Never throws. */
export function judgeSubmission(
  sha256: Sha256,
  { oldSize, proof, note }: AddCheckpoint,
  { verifier, remembered }: { readonly verifier: NoteVerifier; readonly remembered: SignedCheckpoint | null },
): WitnessVerdict {
  let checkpoint: SignedCheckpoint
  try {
    checkpoint = openCheckpoint(note, verifier)
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    return { at: error.code === 'note_unverified' || error.code === 'checkpoint_foreign' ? 'unsigned' : 'malformed' }
  }
  if (oldSize > checkpoint.size) return { at: 'malformed' }
  const known = remembered?.size ?? 0
  if (oldSize !== known) return { at: 'elsewhere', size: known, checkpoint }
  if (remembered === null) return proof.length === 0 ? { at: 'follows', checkpoint } : { at: 'malformed' }
  if (checkpoint.size === known && !equalBytes(checkpoint.root, remembered.root)) return { at: 'forked', checkpoint }
  const follows = verifyConsistency(sha256, { older: remembered, newer: checkpoint, proof })
  return { at: follows ? 'follows' : 'unproven', checkpoint }
}

function malformed(expected: string): DoorwardError {
  return new DoorwardError('witness_request_malformed', 'body is not of the form of C2SP tlog-witness', { expected })
}
