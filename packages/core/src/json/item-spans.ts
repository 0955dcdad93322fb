/** Where the items of an array lie in the bytes, so that some can be cut out and the rest stay as they are. */

import { fromUtf8, joinBytes } from '../bytes.ts'

/** Half-open byte range. */
export interface ByteSpan {
  readonly start: number
  readonly end: number
}

export interface ArraySpans {
  /** Offset just behind the opening bracket. */
  readonly open: number
  /** Offset of the closing bracket. */
  readonly close: number
  readonly items: readonly ByteSpan[]
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = Uint8Array.of(0x2c)

/**
 * Spans of the items of the array that `path` leads to through nested objects, such as
 * `['result', 'tools']`. Null when the path does not lead to an array. `bytes` must have passed
 * `scanJson`: grammar is not checked again (malformed bytes give null, a SyntaxError or meaningless
 * spans, but an end). O(n).
 */
export function itemSpans(bytes: Uint8Array, path: readonly string[]): ArraySpans | null {
  let at = skipSpace(bytes, 0)
  for (const key of path) {
    at = findMember(bytes, at, key)
    if (at < 0) return null
  }
  if (bytes[at] !== 0x5b) return null
  const open = at + 1
  const items: ByteSpan[] = []
  at = skipSpace(bytes, open)
  while (at < bytes.length && bytes[at] !== 0x5d) {
    const end = skipValue(bytes, at)
    if (end === at) return null
    items.push({ start: at, end })
    at = skipSpace(bytes, end)
    if (bytes[at] === 0x2c) at = skipSpace(bytes, at + 1)
  }
  return at < bytes.length ? { open, close: at, items } : null
}

/** The span of the value that `path` leads to through nested objects; null when it leads nowhere. `bytes` as for `itemSpans`. */
export function memberSpan(bytes: Uint8Array, path: readonly string[]): ByteSpan | null {
  let at = skipSpace(bytes, 0)
  for (const key of path) {
    at = findMember(bytes, at, key)
    if (at < 0) return null
  }
  return { start: at, end: skipValue(bytes, at) }
}

/** Other bytes in the place of a span; an empty span is an insertion. */
export interface SpanEdit extends ByteSpan {
  readonly bytes: Uint8Array
}

/** The bytes with each edit made; everything else is unchanged. Spans must not overlap; their order does not matter. */
export function spliceSpans(bytes: Uint8Array, edits: readonly SpanEdit[]): Uint8Array {
  const parts: Uint8Array[] = []
  let at = 0
  for (const edit of edits.toSorted((one, other) => one.start - other.start)) {
    parts.push(bytes.subarray(at, edit.start), edit.bytes)
    at = edit.end
  }
  parts.push(bytes.subarray(at))
  return joinBytes(parts)
}

/**
 * The bytes with only the items for which `keep` is true at their index, joined by single commas;
 * everything outside the array and every kept item is unchanged.
 */
export function spliceItems(bytes: Uint8Array, spans: ArraySpans, keep: readonly boolean[]): Uint8Array<ArrayBuffer> {
  const kept = spans.items.filter((_, index) => keep[index] === true)
  const inner = kept.reduce((sum, span) => sum + span.end - span.start, Math.max(0, kept.length - 1))
  const out = new Uint8Array(spans.open + inner + bytes.length - spans.close)
  out.set(bytes.subarray(0, spans.open))
  let at = spans.open
  for (const [index, span] of kept.entries()) {
    if (index > 0) out[at++] = 0x2c
    out.set(bytes.subarray(span.start, span.end), at)
    at += span.end - span.start
  }
  out.set(bytes.subarray(spans.close), at)
  return out
}

/**
 * The bytes without those members of the object that `path` leads to for whose key `keep` is false; everything else is
 * unchanged. Null when the path does not lead to an object. `bytes` as for `itemSpans`.
 */
export function cutMembers(
  bytes: Uint8Array,
  path: readonly string[],
  keep: (key: string) => boolean,
): Uint8Array | null {
  const object = memberSpan(bytes, path)
  if (object === null || bytes[object.start] !== 0x7b) return null
  const kept: Uint8Array[] = []
  let cut = false
  let at = skipSpace(bytes, object.start + 1)
  while (at < object.end && bytes[at] === QUOTE) {
    const keyEnd = skipString(bytes, at)
    const end = skipValue(bytes, skipSpace(bytes, skipSpace(bytes, keyEnd) + 1))
    if (!keep(String(JSON.parse(fromUtf8(bytes.subarray(at, keyEnd)))))) cut = true
    else kept.push(...(kept.length === 0 ? [] : [COMMA]), bytes.subarray(at, end))
    at = skipSpace(bytes, end)
    if (bytes[at] === 0x2c) at = skipSpace(bytes, at + 1)
  }
  return cut ? spliceSpans(bytes, [{ start: object.start + 1, end: at, bytes: joinBytes(kept) }]) : bytes
}

/** Offset of the value of member `key` of the object at `at`, or −1. */
function findMember(bytes: Uint8Array, start: number, key: string): number {
  if (bytes[start] !== 0x7b) return -1
  let at = skipSpace(bytes, start + 1)
  while (at < bytes.length && bytes[at] !== 0x7d) {
    const keyEnd = skipString(bytes, at)
    const value = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1)
    // The key may be spelled with escapes.
    if (JSON.parse(fromUtf8(bytes.subarray(at, keyEnd))) === key) return value
    at = skipSpace(bytes, skipValue(bytes, value))
    if (bytes[at] === 0x2c) at = skipSpace(bytes, at + 1)
  }
  return -1
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let at = start
  while (at < bytes.length && (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09))
    at++
  return at
}

function skipString(bytes: Uint8Array, start: number): number {
  let at = start + 1
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at + 1
}

/** Offset behind the value at `start`: to the closing bracket of its own depth, or to what ends a scalar. */
function skipValue(bytes: Uint8Array, start: number): number {
  if (bytes[start] === QUOTE) return skipString(bytes, start)
  let depth = 0
  let at = start
  while (at < bytes.length) {
    const byte = bytes[at]!
    if (byte === QUOTE) {
      at = skipString(bytes, at)
      continue
    }
    const closes = byte === 0x5d || byte === 0x7d
    if (depth === 0 && (closes || byte === 0x2c || byte <= 0x20)) return at
    if (byte === 0x5b || byte === 0x7b) depth++
    at++
    if (closes && --depth === 0) return at
  }
  return at
}
