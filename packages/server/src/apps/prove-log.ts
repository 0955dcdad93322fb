/** Proofs about the logs of this machine, and checking them where there is nothing but the proof and a key. */

import { DoorwardError, openLogProof, parseVerifierKey } from '@doorward/core'
import type { NoteVerifier, ProvenEntry } from '@doorward/core'
import { importEd25519 } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { proveConsistency, proveEntry } from '../audit/prove.ts'
import type { ConsistencyReport } from '../audit/prove.ts'
import { readVerifierKey } from './log-places.ts'
import type { LogPlace } from './log-places.ts'

/** The verifier that a key's text names. Throws `vkey_malformed`. */
export function verifierOf(vkey: string): NoteVerifier {
  const { name, keyId, publicKey } = parseVerifierKey(sha256, vkey)
  const key = importEd25519(publicKey)
  if (key === null) throw new DoorwardError('vkey_malformed', 'public key is not an Ed25519 key', { where: name })
  return { name, keyId, key }
}

/** The verifier of a log on this machine, by the key that is kept away from it. Throws `log_key_missing`, `vkey_malformed`. */
export async function keptVerifier(place: LogPlace, copyDir: string): Promise<NoteVerifier> {
  const vkey = await readVerifierKey(copyDir, place.origin)
  if (vkey !== null) return verifierOf(vkey)
  throw new DoorwardError('log_key_missing', 'the verifier key of the log is not kept here', {
    where: copyDir,
    next: 'name it with --key',
  })
}

/** The text of a proof. Throws the codes of `proveEntry`. */
export function proofOf(
  { folder }: LogPlace,
  wanted: { readonly index: number; readonly show: 'entry' | 'receipt'; readonly verifier: NoteVerifier },
): Promise<string> {
  return proveEntry({ ...wanted, folder, sha256 })
}

/** Throws the codes of `proveConsistency`. */
export function consistencyOf(
  { folder }: LogPlace,
  { note, verifier }: { readonly note: string; readonly verifier: NoteVerifier },
): Promise<ConsistencyReport> {
  return proveConsistency({ folder, verifier, sha256 }, note)
}

/** Believes a proof with a key alone. Throws the codes of `openLogProof`. */
export function believedProof(text: string, verifier: NoteVerifier): ProvenEntry {
  return openLogProof(sha256, text, verifier)
}
