/** Remembers how far a log of somebody else has come, and says so in writing (C2SP tlog-witness, tlog-cosignature). */

import {
  DoorwardError,
  cosign,
  isDoorwardError,
  judgeSubmission,
  openCheckpoint,
  parseAddCheckpoint,
  parseNote,
  toSeconds,
} from '@doorward/core'
import type { AddCheckpoint, Clock, NoteSigner, NoteVerifier, Sha256, SignedCheckpoint } from '@doorward/core'
import type { CheckpointStore } from './checkpoint-store.ts'

export interface WitnessParts {
  readonly sha256: Sha256
  readonly clock: Clock
  /** A key that signs nothing but cosignatures. */
  readonly signer: NoteSigner
  /** Where the newest checkpoint of that log is kept: away from our own state, so that putting that back forgets nothing here. */
  readonly storeOf: (origin: string) => CheckpointStore
}

export type WitnessAnswer =
  /** Remembered, then signed. `line`: the cosignature, as it is added to the note. */
  | { readonly at: 'cosigned'; readonly checkpoint: SignedCheckpoint; readonly line: string }
  /** The log has to begin elsewhere: at what we remember of it; null for nothing. `checkpoint` is what it has shown. */
  | {
      readonly at: 'elsewhere'
      readonly remembered: SignedCheckpoint | null
      readonly checkpoint: SignedCheckpoint
    }
  /** Two trees of one size, or no proof that the one follows from the other. */
  | {
      readonly at: 'forked' | 'unproven'
      readonly remembered: SignedCheckpoint
      readonly checkpoint: SignedCheckpoint
    }
  /** Of another form, or not signed by this log. */
  | { readonly at: 'malformed' | 'unsigned' }

/** More submissions of one log at the same moment than two of its processes would make. */
const MAX_ATTEMPTS = 4

export class Witness {
  readonly #parts: WitnessParts

  constructor(parts: WitnessParts) {
    this.#parts = parts
  }

  /** What is remembered of the log that `verifier` names; null for nothing. Throws `witness_memory` for what it has not signed. */
  async remembered(verifier: NoteVerifier): Promise<SignedCheckpoint | null> {
    const note = await this.#parts.storeOf(verifier.name).newest()
    return note === null ? null : believed(note, verifier)
  }

  /** Judges the body of an `add-checkpoint`. Rejects when what follows could not be remembered: nothing is signed then. */
  async submit(body: string, verifier: NoteVerifier): Promise<WitnessAnswer> {
    const submission = read(body)
    if (submission === null) return { at: 'malformed' }
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const answer = await this.#judge(submission, verifier)
      if (answer !== null) return answer
    }
    throw new DoorwardError('witness_busy', 'too many submissions of one log at once', { where: verifier.name })
  }

  /** Null when somebody else has moved on meanwhile. */
  async #judge(submission: AddCheckpoint, verifier: NoteVerifier): Promise<WitnessAnswer | null> {
    const { sha256, signer, clock, storeOf } = this.#parts
    const remembered = await this.remembered(verifier)
    const verdict = judgeSubmission(sha256, submission, { verifier, remembered })
    switch (verdict.at) {
      case 'malformed':
      case 'unsigned':
        return { at: verdict.at }
      case 'elsewhere':
        return { at: 'elsewhere', remembered, checkpoint: verdict.checkpoint }
      case 'forked':
      case 'unproven': {
        const { at, checkpoint } = verdict
        // Where nothing is remembered, everything follows.
        return remembered === null ? null : { at, remembered, checkpoint }
      }
      case 'follows': {
        const { checkpoint } = verdict
        const known = checkpoint.size === remembered?.size
        // One of the same size says the same: what is kept may stay.
        if (!known && !(await storeOf(verifier.name).compareAndSwap(remembered?.note ?? null, checkpoint.note)))
          return null
        const line = await cosign(parseNote(checkpoint.note).text, signer, toSeconds(clock()))
        return { at: 'cosigned', checkpoint, line }
      }
    }
  }
}

function read(body: string): AddCheckpoint | null {
  try {
    return parseAddCheckpoint(body)
  } catch (error) {
    if (!isDoorwardError(error, 'witness_request_malformed')) throw error
    return null
  }
}

function believed(note: string, verifier: NoteVerifier): SignedCheckpoint {
  try {
    return openCheckpoint(note, verifier)
  } catch (cause) {
    throw new DoorwardError('witness_memory', 'what is remembered of a log is not signed by its key', {
      where: verifier.name,
      next: 'find out who has written it; a log that has a new key for a reason needs a new name',
      cause,
    })
  }
}
