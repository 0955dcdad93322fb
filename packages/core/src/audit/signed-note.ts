/** C2SP signed-note with Ed25519: text that is only believed with a known key's signature. */

import { concat, equalBytes, fromBase64, fromUtf8, hex, toBase64, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { Sha256, SignKey, VerifyKey } from '../primitives.ts'

/** Signature types: a key of one is none of the other. */
export const noteAlgorithms = { ed25519: 0x01, cosignature: 0x04 } as const
export type NoteAlgorithm = keyof typeof noteAlgorithms

const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const MAX_NOTE_CHARS = 131_072
const MAX_SIGNATURES = 64
const FORBIDDEN_IN_TEXT = /[\u0000-\u0009\u000b-\u001f]/
const FORBIDDEN_IN_NAME = /[\s\u0085+\u0000-\u001f]/u

/** A named public key as others configure it: `<name>+<hex key id>+<base64(algorithm ‖ public key)>`. */
export interface VerifierKey {
  readonly name: string
  readonly algorithm: NoteAlgorithm
  /** Four bytes: SHA-256(name ‖ 0x0A ‖ algorithm ‖ public key)[:4]. */
  readonly keyId: Uint8Array
  /** 32 bytes (RFC 8032). */
  readonly publicKey: Uint8Array
}

export interface NoteSigner {
  readonly name: string
  readonly keyId: Uint8Array
  readonly key: SignKey
}

export interface NoteVerifier {
  readonly name: string
  readonly keyId: Uint8Array
  readonly key: VerifyKey
}

/** Builds a verifier key. Throws `vkey_malformed` for a name with spaces or `+`, or a key that is not 32 bytes. */
export function verifierKey(
  sha256: Sha256,
  name: string,
  publicKey: Uint8Array,
  algorithm: NoteAlgorithm = 'ed25519',
): VerifierKey {
  if (name === '' || FORBIDDEN_IN_NAME.test(name)) throw badVkey('a name without spaces and plus', JSON.stringify(name))
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw badVkey('a public key of 32 bytes', `${publicKey.length} bytes`)
  const material = concat(utf8(`${name}\n`), Uint8Array.of(noteAlgorithms[algorithm]), publicKey)
  return { name, algorithm, keyId: sha256(material).slice(0, 4), publicKey }
}

export function formatVerifierKey({ name, algorithm, keyId, publicKey }: VerifierKey): string {
  return `${name}+${hex(keyId)}+${toBase64(concat(Uint8Array.of(noteAlgorithms[algorithm]), publicKey))}`
}

/** Parses a verifier key of that algorithm; the key id must be the recommended one. Throws `vkey_malformed`. */
export function parseVerifierKey(sha256: Sha256, text: string, algorithm: NoteAlgorithm = 'ed25519'): VerifierKey {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text)
  const bytes = match === null ? null : fromBase64(match[3]!)
  if (match === null || bytes === null || bytes[0] !== noteAlgorithms[algorithm]) {
    throw badVkey(`<name>+<hex key id>+<base64 of a key of type ${noteAlgorithms[algorithm]}>`, 'another form')
  }
  const key = verifierKey(sha256, match[1]!, bytes.slice(1), algorithm)
  if (hex(key.keyId) !== match[2]) throw badVkey(`key id ${hex(key.keyId)}`, match[2]!)
  return key
}

/** Signs `text`, which must end in a newline and hold no other control character. Throws `note_malformed`. */
export async function signNote(text: string, signer: NoteSigner): Promise<string> {
  if (!text.endsWith('\n') || FORBIDDEN_IN_TEXT.test(text))
    throw badNote('text ending in a newline, no control characters')
  const signature = await signer.key.sign(utf8(text))
  return `${text}\n${signatureLine(signer, signature)}`
}

export function signatureLine({ name, keyId }: Pick<NoteSigner, 'name' | 'keyId'>, signature: Uint8Array): string {
  return `— ${name} ${toBase64(concat(keyId, signature))}\n`
}

/**
 * Returns the text of a note that every known key which signed it confirms. Signatures of unknown keys are ignored;
 * a known key's bad signature rejects the whole note. Throws `note_malformed` or `note_unverified`.
 */
export function openNote(note: string, verifiers: readonly NoteVerifier[]): string {
  const { text, signatures } = parseNote(note)
  const bytes = utf8(text)
  let confirmed = false
  for (const { name, keyId, signature } of signatures) {
    const known = verifiers.find((each) => each.name === name && equalBytes(each.keyId, keyId))
    if (known === undefined) continue
    if (signature.length !== SIGNATURE_BYTES || !known.key.verify(bytes, signature)) {
      throw unverified('a valid signature', `a wrong signature of ${name}`)
    }
    confirmed = true
  }
  if (!confirmed) {
    const wanted = verifiers.map((each) => `${each.name}+${hex(each.keyId)}`).join(', ')
    throw unverified(`a signature of ${wanted}`, signatures.map((each) => `${each.name}+${hex(each.keyId)}`).join(', '))
  }
  return text
}

export interface NoteSignature {
  readonly name: string
  readonly keyId: Uint8Array
  readonly signature: Uint8Array
}

/** Splits a note without believing it: for naming whose note it claims to be. Throws `note_malformed`. */
export function parseNote(note: string): { readonly text: string; readonly signatures: readonly NoteSignature[] } {
  if (note.length > MAX_NOTE_CHARS) throw badNote(`at most ${MAX_NOTE_CHARS} characters`)
  if (FORBIDDEN_IN_TEXT.test(note)) throw badNote('no control characters but newline')
  // A lone surrogate has no UTF-8 form: what is not its own round trip cannot have been signed as written.
  if (fromUtf8(utf8(note)) !== note) throw badNote('valid unicode')
  const split = note.lastIndexOf('\n\n')
  if (split < 0 || !note.endsWith('\n')) throw badNote('text, an empty line and signature lines')
  const lines = note.slice(split + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw badNote(`at most ${MAX_SIGNATURES} signatures`)
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignature) }
}

/** One line, without its newline. Throws `note_malformed`. */
export function parseSignature(line: string): NoteSignature {
  const match = /^— ([^ ]+) ([A-Za-z0-9+/]+=*)$/.exec(line)
  const bytes = match === null ? null : fromBase64(match[2]!)
  if (match === null || bytes === null || bytes.length < 5 || FORBIDDEN_IN_NAME.test(match[1]!)) {
    throw badNote('signature lines of the form "— name base64"')
  }
  return { name: match[1]!, keyId: bytes.slice(0, 4), signature: bytes.slice(4) }
}

function badVkey(expected: string, got: string): DoorwardError {
  return new DoorwardError('vkey_malformed', 'verifier key is not of the form of C2SP signed-note', { expected, got })
}

function badNote(expected: string): DoorwardError {
  return new DoorwardError('note_malformed', 'note is not of the form of C2SP signed-note', { expected })
}

function unverified(expected: string, got: string): DoorwardError {
  return new DoorwardError('note_unverified', 'note is not signed by a known key', { expected, got })
}
