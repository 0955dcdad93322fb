/** What this process remembers of the logs of others, with a key for saying so, and what others have said of its own log. */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DoorwardError,
  cosignaturesIn,
  epochSeconds,
  formatVerifierKey,
  isDoorwardError,
  openCheckpoint,
  parseAddCheckpoint,
  parseNote,
  parseVerifierKey,
  toSeconds,
  utf8,
  verifierKey,
  witnessKey,
} from '@doorward/core'
import type { Clock, NoteVerifier, VerifierKey } from '@doorward/core'
import { Witness, fileCheckpointStore, fileDisk, importEd25519 } from '@doorward/enforcement'
import type { LogKey, WitnessAnswer } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { COSIGNED_FOLDER } from '../audit/log-folder.ts'
import type { ShownCosignature, ShownLog } from '../transports/witness-routes.ts'
import { keepVerifierKey } from './log-places.ts'

export interface LogWitnessOptions {
  /** Where the second copy of checkpoints lies: outside of every state folder. */
  readonly dir: string
  /** Of our own log, which gives the witness its name: `<origin>/witness`. */
  readonly origin: string
  readonly logKey: LogKey
  /** The key of the witness, which signs nothing else. */
  readonly witnessKey: LogKey
  /** Folder of our own log. */
  readonly recordFolder: string
  readonly clock: Clock
}

export interface LogWitness {
  /** Verifier key of our own log. */
  readonly logKey: string
  readonly verifier: NoteVerifier
  /**
   * Judges what another log shows. The key that a log shows first is kept; throws `log_key_changed` for another one later,
   * `vkey_malformed` for none or one of another origin.
   */
  submit(origin: string, log: ShownLog): Promise<WitnessAnswer>
  /** As it is handed over. */
  shown(answer: Extract<WitnessAnswer, { at: 'cosigned' }>): ShownCosignature
  /** Keeps what a witness says of our log; its name must be `<witness>/witness`. Null: it says nothing that holds. */
  keep(witness: string, cosignature: ShownCosignature): Promise<number | null>
}

const FOLDER = 'witnessed'
/** Clocks of witnesses may be ahead of ours. */
const LEEWAY_SECONDS = 300

export async function openLogWitness(options: LogWitnessOptions): Promise<LogWitness> {
  const { dir, origin: own, logKey, clock, recordFolder } = options
  const folder = join(dir, FOLDER)
  const cosigned = join(recordFolder, COSIGNED_FOLDER)
  for (const each of [folder, cosigned]) await mkdir(each, { recursive: true, mode: 0o700 })
  const key = witnessKey(sha256, `${own}/witness`, options.witnessKey.publicKey)
  const signer = { name: key.name, keyId: key.keyId, key: options.witnessKey.sign }
  const witness = new Witness({ sha256, clock, signer, storeOf: (origin) => fileCheckpointStore(folder, origin) })
  const ownKey = verifierKey(sha256, own, logKey.publicKey)
  return {
    logKey: formatVerifierKey(ownKey),
    verifier: { name: ownKey.name, keyId: ownKey.keyId, key: logKey.verify },
    submit: async (origin, { logKey: text, submission }) => {
      const verifier = namedVerifier(parseVerifierKey(sha256, text), origin)
      // A key is kept once it has signed: whoever shows it by mistake is not held to it.
      if (isSigned(submission, verifier)) await keepVerifierKey(folder, { origin, verifierKey: text })
      return witness.submit(submission, verifier)
    },
    shown: ({ checkpoint, line }) => ({
      witnessKey: formatVerifierKey(key),
      cosignature: line,
      checkpoint: checkpoint.note,
    }),
    keep: async (name, { witnessKey: text, cosignature, checkpoint: note }) => {
      const named = parseVerifierKey(sha256, text, 'cosignature')
      const verifier = namedVerifier(named, `${name}/witness`)
      const checkpoint = openCheckpoint(note, { name: ownKey.name, keyId: ownKey.keyId, key: logKey.verify })
      const now = epochSeconds(toSeconds(clock()) + LEEWAY_SECONDS)
      const [said] = cosignaturesIn(cosignature, { text: parseNote(note).text, witnesses: [verifier], now })
      if (said === undefined) return null
      await keepVerifierKey(cosigned, { origin: named.name, verifierKey: text })
      const path = join(cosigned, `${encodeURIComponent(named.name)}.note`)
      await fileDisk.replace([{ path, bytes: utf8(`${note}${said.line}`) }], 'durable')
      return checkpoint.size
    },
  }
}

function isSigned(submission: string, verifier: NoteVerifier): boolean {
  try {
    openCheckpoint(parseAddCheckpoint(submission).note, verifier)
    return true
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    return false
  }
}

function namedVerifier({ name, keyId, publicKey }: VerifierKey, expected: string): NoteVerifier {
  const key = importEd25519(publicKey)
  if (key === null || name !== expected)
    throw new DoorwardError('vkey_malformed', 'the key has another name', { expected, got: name })
  return { name, keyId, key }
}
