/**
 * C2SP tlog-proof: that one entry stands in a log, in one text that can be checked without the log.
 *
 * What the format leaves to applications (`extra`) is here a small JSON: the leaf, and, where the whole entry is to be
 * shown, its salt and its payload. Without them a proof is a receipt: it shows time and digest of an entry that stands at
 * this index, and nothing of what the entry says.
 */

import { equalBytes, fromBase64, fromUtf8, toBase64, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'
import type { EpochMillis } from '../time.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { SignedCheckpoint } from './checkpoint.ts'
import { LEAF_BYTES, MAX_PAYLOAD_BYTES, SALT_BYTES, encodeLeaf, parseLeaf, parsePayload } from './entry.ts'
import type { EntryEnvelope } from './entry.ts'
import { verifyInclusion } from './inclusion-proof.ts'
import { HASH_BYTES, leafHash } from './merkle-tree.ts'
import type { NoteVerifier } from './signed-note.ts'

/** The text as data; nothing of it is believed yet. */
export interface LogProof {
  readonly index: number
  /** From the leaf's sibling up to the root's child, 32 bytes each. */
  readonly hashes: readonly Uint8Array[]
  /** The checkpoint of the log, a signed note, as it was found. */
  readonly checkpoint: string
  readonly extra: Uint8Array | null
}

/** What we put into `extra`. */
export interface ProofExtra {
  readonly leaf: Uint8Array
  /** Null in a receipt. */
  readonly opening: { readonly salt: Uint8Array; readonly payload: Uint8Array } | null
}

/** What a proof proves. */
export interface ProvenEntry {
  readonly origin: string
  readonly index: number
  readonly time: EpochMillis
  /** SHA-256(salt ‖ payload). */
  readonly digest: Uint8Array
  /** Null in a receipt. */
  readonly entry: EntryEnvelope | null
  readonly checkpoint: SignedCheckpoint
}

/** More characters than any proof of ours has; a longer text is refused unread. */
export const MAX_PROOF_CHARS = 1_048_576
const HEADER = 'c2sp.org/tlog-proof@v1'
/** A tree of fewer than 2^53 entries is not higher. */
const MAX_HASHES = 53
const INDEX = /^index (0|[1-9][0-9]{0,15})$/
const EXTRA_VERSION = 1

export function formatLogProof({ index, hashes, checkpoint, extra }: LogProof): string {
  const head = [HEADER, ...(extra === null ? [] : [`extra ${toBase64(extra)}`]), `index ${index}`]
  return `${[...head, ...hashes.map(toBase64)].join('\n')}\n\n${checkpoint}`
}

/** Splits a proof. Strict: only what `formatLogProof` would write is accepted. Throws `proof_malformed`. */
export function parseLogProof(text: string): LogProof {
  if (text.length > MAX_PROOF_CHARS) throw malformed(`at most ${MAX_PROOF_CHARS} characters`)
  const end = text.indexOf('\n\n')
  if (end < 0) throw malformed('an empty line before the checkpoint')
  const [header, ...lines] = text.slice(0, end).split('\n')
  if (header !== HEADER) throw malformed(`the first line ${HEADER}`)
  const extra = lines[0]?.startsWith('extra ') === true ? readExtraLine(lines.shift()!) : null
  const digits = INDEX.exec(lines.shift() ?? '')?.[1]
  if (digits === undefined || !Number.isSafeInteger(Number(digits))) throw malformed('a line "index" with a number')
  if (lines.length > MAX_HASHES) throw malformed(`at most ${MAX_HASHES} hashes`)
  return { index: Number(digits), hashes: lines.map(readHash), checkpoint: text.slice(end + 2), extra }
}

function readExtraLine(line: string): Uint8Array {
  const bytes = fromBase64(line.slice('extra '.length))
  if (bytes === null || bytes.length === 0) throw malformed('extra data in base64')
  return bytes
}

function readHash(line: string): Uint8Array {
  const hash = fromBase64(line)
  if (hash?.length !== HASH_BYTES) throw malformed(`hashes of ${HASH_BYTES} bytes in base64, one on each line`)
  return hash
}

export function encodeProofExtra({ leaf, opening }: ProofExtra): Uint8Array<ArrayBuffer> {
  const opened = opening === null ? {} : { salt: toBase64(opening.salt), payload: toBase64(opening.payload) }
  return utf8(JSON.stringify({ v: EXTRA_VERSION, leaf: toBase64(leaf), ...opened }))
}

/** Reads what `encodeProofExtra` has written, and nothing else. Throws `proof_malformed`. */
export function parseProofExtra(bytes: Uint8Array): ProofExtra {
  const { v, leaf, salt, payload } = readMembers(bytes)
  if (v !== EXTRA_VERSION) throw malformed(`extra data of version ${EXTRA_VERSION}`)
  if ((salt === undefined) !== (payload === undefined)) throw malformed('salt and payload together')
  const extra = {
    leaf: readBytes(leaf, 'leaf', [LEAF_BYTES, LEAF_BYTES]),
    opening:
      salt === undefined
        ? null
        : {
            salt: readBytes(salt, 'salt', [SALT_BYTES, SALT_BYTES]),
            payload: readBytes(payload, 'payload', [1, MAX_PAYLOAD_BYTES]),
          },
  }
  if (!equalBytes(encodeProofExtra(extra), bytes)) throw malformed('extra data in its one written form')
  return extra
}

interface ExtraMembers {
  readonly v?: unknown
  readonly leaf?: unknown
  readonly salt?: unknown
  readonly payload?: unknown
}

function readMembers(bytes: Uint8Array): ExtraMembers {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(bytes))
  } catch {
    throw malformed('extra data in JSON')
  }
  if (typeof value !== 'object' || value === null) throw malformed('extra data that is an object')
  return value
}

function readBytes(text: unknown, name: string, [least, most]: readonly [number, number]): Uint8Array {
  const bytes = typeof text === 'string' ? fromBase64(text) : null
  if (bytes === null || bytes.length < least || bytes.length > most) {
    throw malformed(`${name} of ${least === most ? least : `${least} to ${most}`} bytes in base64`)
  }
  return bytes
}

/**
 * Believes a proof with the key of its log and nothing else: the checkpoint is signed by it and speaks of its origin, the
 * leaf stands at the index under the signed root, and a payload that is shown has the digest and the time of the leaf.
 * Throws `proof_malformed`, the codes of `openCheckpoint`, and `proof_invalid` where something does not follow.
 */
export function openLogProof(sha256: Sha256, text: string, verifier: NoteVerifier): ProvenEntry {
  const { index, hashes, checkpoint: note, extra } = parseLogProof(text)
  if (extra === null) throw malformed('extra data with the leaf: without it nothing says which entry is meant')
  const { leaf, opening } = parseProofExtra(extra)
  const checkpoint = openCheckpoint(note, verifier)
  const { size, root } = checkpoint
  if (!verifyInclusion(sha256, { index, size, leafHash: leafHash(sha256, leaf), root, proof: hashes })) {
    throw invalid(`a leaf that is entry ${index} of the ${size} that were signed`)
  }
  const { time, digest } = readLeaf(leaf)
  const entry = opening === null ? null : openEntry(sha256, { leaf, time, ...opening })
  return { origin: checkpoint.origin, index, time, digest, entry, checkpoint }
}

function readLeaf(leaf: Uint8Array): ReturnType<typeof parseLeaf> {
  try {
    return parseLeaf(leaf)
  } catch (cause) {
    throw invalid('a leaf of this version', cause)
  }
}

interface Opening {
  readonly leaf: Uint8Array
  readonly time: EpochMillis
  readonly salt: Uint8Array
  readonly payload: Uint8Array
}

function openEntry(sha256: Sha256, { leaf, time, salt, payload }: Opening): EntryEnvelope {
  if (!equalBytes(encodeLeaf(sha256, { time, salt, payload }), leaf))
    throw invalid('a payload with the digest of its leaf')
  let entry: EntryEnvelope
  try {
    entry = parsePayload(payload)
  } catch (cause) {
    throw invalid('a payload that is an entry', cause)
  }
  if (entry.time !== time) throw invalid('a payload with the time of its leaf')
  return entry
}

function malformed(expected: string): DoorwardError {
  return new DoorwardError('proof_malformed', 'text is not a proof of C2SP tlog-proof', { expected })
}

function invalid(expected: string, cause?: unknown): DoorwardError {
  return new DoorwardError('proof_invalid', 'the proof does not prove what it says', { expected, cause })
}
