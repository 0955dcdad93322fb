/** Bytes and their text forms. Strict in both directions: what does not re-encode to itself is refused. */

import { DoorwardError } from './error.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text)
}

/** Decodes UTF-8; malformed sequences throw, a byte order mark is kept as U+FEFF. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new DoorwardError('bytes_not_utf8', 'expected UTF-8, got a malformed byte sequence')
  }
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return joinBytes(parts)
}

/** As `concat`, of as many as there are: arguments of a call have their place on the stack, where some ten thousand fit. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

/** Byte equality for public values. Not constant-time: never for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export function hex(bytes: Uint8Array): string {
  return bytes.toHex !== undefined ? bytes.toHex() : Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
}

declare global {
  // ES2026 Uint8Array text forms (TC39 proposal-arraybuffer-base64): present on Node 26, absent on 24.
  interface Uint8Array {
    toHex?(): string
  }
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** An alphabet as text, and as the codes of its characters. */
interface Alphabet {
  readonly letters: string
  readonly codes: Uint8Array
}
const TO_BASE64URL: Alphabet = { letters: BASE64URL, codes: encoder.encode(BASE64URL) }
const TO_BASE64: Alphabet = { letters: BASE64, codes: encoder.encode(BASE64) }
/** From here on decoding one array of codes is cheaper than joining characters: fourteen times for a megabyte. */
const LONG_BYTES = 256
const LONG_TEXT = 1024

/** Without padding. */
function encode64(bytes: Uint8Array, alphabet: Alphabet): string {
  return bytes.length < LONG_BYTES ? encodeShort(bytes, alphabet) : encodeLong(bytes, alphabet)
}

function encodeShort(bytes: Uint8Array, { letters }: Alphabet): string {
  let out = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i
    const group = (bytes[i]! << 16) | ((left > 1 ? bytes[i + 1]! : 0) << 8) | (left > 2 ? bytes[i + 2]! : 0)
    out += letters[group >> 18]! + letters[(group >> 12) & 63]!
    if (left > 1) out += letters[(group >> 6) & 63]!
    if (left > 2) out += letters[group & 63]!
  }
  return out
}

function encodeLong(bytes: Uint8Array, alphabet: Alphabet): string {
  const { codes } = alphabet
  const whole = bytes.length - (bytes.length % 3)
  const out = new Uint8Array((whole / 3) * 4)
  for (let i = 0, at = 0; i < whole; i += 3, at += 4) {
    const group = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!
    out[at] = codes[group >> 18]!
    out[at + 1] = codes[(group >> 12) & 63]!
    out[at + 2] = codes[(group >> 6) & 63]!
    out[at + 3] = codes[group & 63]!
  }
  return decoder.decode(out) + encodeShort(bytes.subarray(whole), alphabet)
}

/** The value of each byte that stands for one, else −1. */
function reverse(alphabet: string): Int8Array {
  const table = new Int8Array(256).fill(-1)
  for (let i = 0; i < 64; i++) table[alphabet.charCodeAt(i)] = i
  return table
}
const FROM_BASE64URL = reverse(BASE64URL)
const FROM_BASE64 = reverse(BASE64)

function decode64(text: string, table: Int8Array): Uint8Array<ArrayBuffer> | null {
  return text.length < LONG_TEXT ? decodeShort(text, table) : decodeLong(text, table)
}

function decodeShort(text: string, table: Int8Array): Uint8Array<ArrayBuffer> | null {
  const remainder = text.length % 4
  if (remainder === 1) return null
  const out = new Uint8Array(Math.floor((text.length * 3) / 4))
  let bits = 0
  let held = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? table[code]! : -1
    if (value < 0) return null
    bits = ((bits << 6) | value) & 0xffffff
    held += 6
    if (held >= 8) {
      held -= 8
      out[at++] = (bits >> held) & 0xff
    }
  }
  return (bits & ((1 << held) - 1)) === 0 ? out : null
}

function decodeLong(text: string, table: Int8Array): Uint8Array<ArrayBuffer> | null {
  const whole = text.length - (text.length % 4)
  const rest = decodeShort(text.slice(whole), table)
  const codes = encoder.encode(text)
  // What is not ASCII has more bytes than characters.
  if (rest === null || codes.length !== text.length) return null
  const out = new Uint8Array((whole / 4) * 3 + rest.length)
  // Below zero as soon as one character has no value.
  let sign = 0
  for (let i = 0, at = 0; i < whole; i += 4, at += 3) {
    const group =
      (table[codes[i]!]! << 18) | (table[codes[i + 1]!]! << 12) | (table[codes[i + 2]!]! << 6) | table[codes[i + 3]!]!
    sign |= group
    out[at] = group >> 16
    out[at + 1] = group >> 8
    out[at + 2] = group
  }
  out.set(rest, (whole / 4) * 3)
  return sign >= 0 ? out : null
}

export function toBase64url(bytes: Uint8Array): string {
  return encode64(bytes, TO_BASE64URL)
}

/** RFC 4648 §5 without padding. Null when a character, the length or a trailing bit is not canonical. */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> | null {
  return decode64(text, FROM_BASE64URL)
}

export function toBase64(bytes: Uint8Array): string {
  return encode64(bytes, TO_BASE64) + '=='.slice(0, (3 - (bytes.length % 3)) % 3)
}

/** RFC 4648 §4 with padding. Null when not canonical. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 4 !== 0) return null
  const end = text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length
  return decode64(text.slice(0, end), FROM_BASE64)
}
