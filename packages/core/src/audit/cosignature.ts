/** C2SP tlog-cosignature v1 with Ed25519: at that time, this checkpoint was the newest of its log that a witness had seen. */

import { concat, equalBytes, utf8 } from '../bytes.ts'
import type { Sha256 } from '../primitives.ts'
import { epochSeconds } from '../time.ts'
import type { EpochSeconds } from '../time.ts'
import { parseNote, parseSignature, signatureLine, verifierKey } from './signed-note.ts'
import type { NoteSignature, NoteSigner, NoteVerifier, VerifierKey } from './signed-note.ts'

const TIME_BYTES = 8
const SIGNATURE_BYTES = 64

/** A witness's statement that was verified. */
export interface Cosignature {
  /** Name of the witness's key. */
  readonly witness: string
  readonly time: EpochSeconds
  /** The signature line, newline included, as it is added to the note. */
  readonly line: string
}

/** The verifier key of a witness; its name says who it is. Throws `vkey_malformed`. */
export function witnessKey(sha256: Sha256, name: string, publicKey: Uint8Array): VerifierKey {
  return verifierKey(sha256, name, publicKey, 'cosignature')
}

/** Signs the text of a checkpoint, its last newline included. The signer's key must be used for nothing else. */
export async function cosign(text: string, signer: NoteSigner, time: EpochSeconds): Promise<string> {
  const signature = await signer.key.sign(signedBytes(text, time))
  return signatureLine(signer, concat(timeBytes(time), signature))
}

/**
 * The cosignatures of known witnesses under a note. Lines of others are passed over; a line in a known witness's name that
 * does not verify, or is from after `now`, is none. The log's own signature is not looked at. Throws `note_malformed`.
 */
export function cosignaturesOf(
  note: string,
  witnesses: readonly NoteVerifier[],
  now: EpochSeconds,
): readonly Cosignature[] {
  const { text, signatures } = parseNote(note)
  return signatures.flatMap((each) => verified(text, each, witnesses, now))
}

/** The same for lines that are not under a note yet. Throws `note_malformed`. */
export function cosignaturesIn(
  lines: string,
  {
    text,
    witnesses,
    now,
  }: { readonly text: string; readonly witnesses: readonly NoteVerifier[]; readonly now: EpochSeconds },
): readonly Cosignature[] {
  const written = lines.split('\n').filter((line) => line !== '')
  return written.map(parseSignature).flatMap((each) => verified(text, each, witnesses, now))
}

function verified(
  text: string,
  { name, keyId, signature }: NoteSignature,
  witnesses: readonly NoteVerifier[],
  now: EpochSeconds,
): readonly Cosignature[] {
  const witness = witnesses.find((each) => each.name === name && equalBytes(each.keyId, keyId))
  if (witness === undefined || signature.length !== TIME_BYTES + SIGNATURE_BYTES) return []
  const time = readTime(signature)
  if (time === null || time > now) return []
  if (!witness.key.verify(signedBytes(text, time), signature.subarray(TIME_BYTES))) return []
  return [{ witness: name, time, line: signatureLine({ name, keyId }, signature) }]
}

function signedBytes(text: string, time: EpochSeconds): Uint8Array {
  return utf8(`cosignature/v1\ntime ${time}\n${text}`)
}

function timeBytes(time: EpochSeconds): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(time))
  return bytes
}

/** Null for a time that no clock of ours shows. */
function readTime(signature: Uint8Array): EpochSeconds | null {
  const view = new DataView(signature.buffer, signature.byteOffset, TIME_BYTES)
  const time = Number(view.getBigUint64(0))
  return Number.isSafeInteger(time) ? epochSeconds(time) : null
}
