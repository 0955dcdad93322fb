/**
 * An entry of the record: the payload that people read and the leaf that the tree commits to.
 *
 * The leaf holds only a salted digest, so a payload can be redacted or expire while every proof stays valid,
 * and a short payload cannot be guessed from its leaf.
 */

import { concat, fromUtf8, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'
import { epochMillis } from '../time.ts'
import type { EpochMillis } from '../time.ts'

/** What an entry is about. A closed list: an unknown kind is refused in both directions. */
export const ENTRY_KINDS = [
  'decision',
  'outcome',
  'refusals',
  'admin',
  'issuance',
  'trust',
  'lifecycle',
  'approval',
  'detection',
] as const

export type EntryKind = (typeof ENTRY_KINDS)[number]

/** The payload: JSON with exactly these members in this order. `time` is whole milliseconds since the epoch. */
export interface EntryEnvelope {
  readonly v: 1
  readonly kind: EntryKind
  readonly time: EpochMillis
  readonly body: { readonly [name: string]: unknown }
}

/** The longest payload in bytes. A longer entry is refused with `entry_too_large`. */
export const MAX_PAYLOAD_BYTES = 262_144
export const SALT_BYTES = 16
/** Version byte, 8-byte big-endian milliseconds, SHA-256(salt ‖ payload). */
export const LEAF_BYTES = 41

const LEAF_VERSION = 1
const KINDS: ReadonlySet<string> = new Set(ENTRY_KINDS)

export function isEntryKind(value: unknown): value is EntryKind {
  return typeof value === 'string' && KINDS.has(value)
}

/**
 * Serialises an entry. `body` must be what JSON calls an object; members that JSON cannot hold are dropped as
 * `JSON.stringify` drops them. Throws `entry_malformed` or `entry_too_large`. Does not look for secrets.
 */
export function encodePayload(kind: EntryKind, time: EpochMillis, body: object): Uint8Array<ArrayBuffer> {
  if (!isEntryKind(kind)) throw malformed('unknown kind', ENTRY_KINDS.join(', '), String(kind))
  const bytes = utf8(`{"v":1,"kind":"${kind}","time":${time},"body":${bodyText(body)}}`)
  if (bytes.length > MAX_PAYLOAD_BYTES) {
    throw new DoorwardError('entry_too_large', 'entry is too large for the record', {
      expected: `at most ${MAX_PAYLOAD_BYTES} bytes`,
      got: `${bytes.length} bytes`,
    })
  }
  return bytes
}

function bodyText(body: object): string {
  let text: string | undefined
  try {
    text = JSON.stringify(body)
  } catch (cause) {
    throw new DoorwardError('entry_malformed', 'body cannot be written as JSON', { cause })
  }
  if (text?.startsWith('{') !== true) throw malformed('body is not an object', 'a JSON object', typeof body)
  return text
}

/**
 * Parses a payload back. Strict: only the bytes that `encodePayload` would write are accepted, which excludes
 * duplicate and additional members, whitespace and numbers that do not survive. Throws `entry_malformed`.
 */
export function parsePayload(payload: Uint8Array): EntryEnvelope {
  const { text, value } = readJson(payload)
  if (typeof value !== 'object' || value === null)
    throw malformed('payload is not an object', 'an object', typeof value)
  const { v, kind, time, body } = value as { v?: unknown; kind?: unknown; time?: unknown; body?: unknown }
  if (v !== 1) throw malformed('unknown payload version', '1', String(v))
  if (!isEntryKind(kind)) throw malformed('unknown kind', ENTRY_KINDS.join(', '), String(kind))
  if (!isMillis(time)) throw malformed('time is not in whole milliseconds', 'an integer ≥ 0', String(time))
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw malformed('body is not an object', 'a JSON object', typeof body)
  }
  const envelope = { v: 1, kind, time: epochMillis(time), body: body as EntryEnvelope['body'] } as const
  if (JSON.stringify(envelope) !== text)
    throw malformed('payload is not in its one written form', 'compact JSON', 'another form')
  return envelope
}

function readJson(payload: Uint8Array): { readonly text: string; readonly value: unknown } {
  try {
    const text = fromUtf8(payload)
    return { text, value: JSON.parse(text) }
  } catch (cause) {
    throw new DoorwardError('entry_malformed', 'payload is not JSON', { cause })
  }
}

function isMillis(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** The leaf of an entry: what the tree hashes and what an entry bundle publishes. */
export function encodeLeaf(
  sha256: Sha256,
  entry: { readonly time: EpochMillis; readonly salt: Uint8Array; readonly payload: Uint8Array },
): Uint8Array<ArrayBuffer> {
  if (entry.salt.length !== SALT_BYTES)
    throw malformed('salt has the wrong length', `${SALT_BYTES}`, `${entry.salt.length}`)
  return leafOf(entry.time, sha256(salted(entry.salt, entry.payload)))
}

/** The leaf by its parts; `digest` is SHA-256(salt ‖ payload). */
export function leafOf(time: EpochMillis, digest: Uint8Array): Uint8Array<ArrayBuffer> {
  const leaf = new Uint8Array(LEAF_BYTES)
  leaf[0] = LEAF_VERSION
  // Bytes instead of a DataView: this runs for every entry, and a view makes the small array leave V8's heap.
  let rest: number = time
  for (let at = 8; at > 0; at--) {
    leaf[at] = rest % 256
    rest = Math.floor(rest / 256)
  }
  leaf.set(digest, 9)
  return leaf
}

/** Salt and payload of usual entries, one after the other; overwritten by the next. */
const scratch = new Uint8Array(4096)

function salted(salt: Uint8Array, payload: Uint8Array): Uint8Array {
  const length = salt.length + payload.length
  if (length > scratch.length) return concat(salt, payload)
  scratch.set(salt)
  scratch.set(payload, salt.length)
  return scratch.subarray(0, length)
}

/** Parses a leaf. `digest` is SHA-256(salt ‖ payload). Throws `entry_malformed`. */
export function parseLeaf(leaf: Uint8Array): { readonly time: EpochMillis; readonly digest: Uint8Array } {
  if (leaf.length !== LEAF_BYTES) throw malformed('leaf has the wrong length', `${LEAF_BYTES}`, `${leaf.length}`)
  if (leaf[0] !== LEAF_VERSION) throw malformed('unknown leaf version', `${LEAF_VERSION}`, `${leaf[0]}`)
  const time = Number(new DataView(leaf.buffer, leaf.byteOffset, leaf.length).getBigUint64(1))
  if (!isMillis(time)) throw malformed('leaf time is out of range', 'below 2^53', String(time))
  return { time: epochMillis(time), digest: leaf.slice(9) }
}

function malformed(message: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('entry_malformed', message, { expected, got })
}
