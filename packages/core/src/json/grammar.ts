/** RFC 8259 as a checker: one pass over the bytes, no value is built. */

import { fromUtf8, utf8 } from '../bytes.ts'
import type { JsonLimits } from './limits.ts'
import { firstRepeated } from './repeated.ts'

/** What the grammar or its bounds can object to. */
export type GrammarFault =
  | 'json_syntax'
  | 'json_too_deep'
  | 'json_too_many_keys'
  | 'json_duplicate_key'
  | 'json_forbidden_key'
  | 'json_lone_surrogate'

/** Where the checker stands. `fault` is set once, by the function that returns false first. */
export interface GrammarCursor {
  readonly bytes: Uint8Array
  /** The bytes decoded: keys are cut from it where every character is one byte. */
  readonly text: string
  readonly maxDepth: number
  readonly keepsPrototypeKeys: boolean
  at: number
  keysLeft: number
  /** Keys of the objects now open, outermost first; only the first `keyCount` count. */
  readonly keys: string[]
  keyCount: number
  fault: GrammarFault
  message: string
}

const QUOTE = 0x22
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const LOWER_E = 0x65
const LOWER_U = 0x75
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const TRUE = utf8('true')
const FALSE = utf8('false')
const NULL = utf8('null')
const NOTHING = utf8('')

/** Up to so many keys each new one is compared with its siblings; more are sorted when the object closes. */
const COMPARED_KEYS = 16

/** Bytes that may follow a backslash, besides `u`. */
const SHORT_ESCAPE = new Uint8Array(256)
for (const byte of utf8('"\\/bfnrt')) SHORT_ESCAPE[byte] = 1

/** Bytes that a string may hold as they are: all but control characters, quote and backslash. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 0 : 1,
)

/** `text` is what `bytes` decode to: the checker relies on its being UTF-8. */
export function grammarCursor(bytes: Uint8Array, text: string, limits: JsonLimits): GrammarCursor {
  return {
    bytes,
    text,
    maxDepth: limits.maxDepth,
    keepsPrototypeKeys: limits.prototypeKeys === 'keep',
    at: 0,
    keysLeft: limits.maxKeys,
    keys: [],
    keyCount: 0,
    fault: 'json_syntax',
    message: '',
  }
}

/** True when the text is one JSON value with nothing but whitespace around it. */
export function checkText(c: GrammarCursor): boolean {
  skipSpace(c)
  if (!checkValue(c, 0)) return false
  skipSpace(c)
  return c.at === c.bytes.length || refuse(c, 'json_syntax', 'expected the end after one value')
}

function refuse(c: GrammarCursor, fault: GrammarFault, message: string): false {
  c.fault = fault
  c.message = message
  return false
}

/** The byte where the checker stands, or −1 at the end: reads past the end of an array are slow. */
function here(c: GrammarCursor): number {
  return c.at < c.bytes.length ? c.bytes[c.at]! : -1
}

function skipSpace(c: GrammarCursor): void {
  let code = here(c)
  while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
    c.at++
    code = here(c)
  }
}

/** `depth` containers are open around the value. */
function checkValue(c: GrammarCursor, depth: number): boolean {
  const code = here(c)
  if (code === QUOTE) return checkString(c) !== 'refused'
  if (code === OPEN_OBJECT) return checkObject(c, depth + 1)
  if (code === OPEN_ARRAY) return checkArray(c, depth + 1)
  if (code === MINUS || isDigit(code)) return checkNumber(c)
  const literal = code === 0x74 ? TRUE : code === 0x66 ? FALSE : code === 0x6e ? NULL : NOTHING
  return checkLiteral(c, literal)
}

function checkLiteral(c: GrammarCursor, literal: Uint8Array): boolean {
  for (let i = 0; i < literal.length; i++) {
    if (c.bytes[c.at + i] !== literal[i]) return refuse(c, 'json_syntax', 'expected true, false or null')
  }
  c.at += literal.length
  return literal !== NOTHING || refuse(c, 'json_syntax', 'expected a value')
}

function checkArray(c: GrammarCursor, depth: number): boolean {
  if (depth > c.maxDepth) return refuse(c, 'json_too_deep', `expected at most ${c.maxDepth} nested objects and arrays`)
  c.at++
  skipSpace(c)
  if (take(c, CLOSE_ARRAY)) return true
  for (;;) {
    if (!checkValue(c, depth)) return false
    skipSpace(c)
    const code = here(c)
    if (code !== COMMA && code !== CLOSE_ARRAY)
      return refuse(c, 'json_syntax', 'expected a comma or the end of an array')
    c.at++
    if (code === CLOSE_ARRAY) return true
    skipSpace(c)
  }
}

function checkObject(c: GrammarCursor, depth: number): boolean {
  if (depth > c.maxDepth) return refuse(c, 'json_too_deep', `expected at most ${c.maxDepth} nested objects and arrays`)
  const firstKey = c.keyCount
  c.at++
  skipSpace(c)
  if (take(c, CLOSE_OBJECT)) return true
  for (;;) {
    if (!checkKey(c, firstKey)) return false
    skipSpace(c)
    if (!take(c, COLON)) return refuse(c, 'json_syntax', 'expected a colon after a key')
    skipSpace(c)
    if (!checkValue(c, depth)) return false
    skipSpace(c)
    const code = here(c)
    if (code !== COMMA && code !== CLOSE_OBJECT)
      return refuse(c, 'json_syntax', 'expected a comma or the end of an object')
    c.at++
    if (code === CLOSE_OBJECT) return closeKeys(c, firstKey)
    skipSpace(c)
  }
}

function checkKey(c: GrammarCursor, firstKey: number): boolean {
  const start = c.at
  if (here(c) !== QUOTE) return refuse(c, 'json_syntax', 'expected a key in quotes')
  if (c.keysLeft-- === 0) return refuse(c, 'json_too_many_keys', 'expected fewer object members')
  const form = checkString(c)
  if (form === 'refused') return false
  // A key that is spelled with escapes is compared by what it means.
  const key = form === 'plain' ? cut(c, start + 1, c.at - 1) : (JSON.parse(cut(c, start, c.at)) as string)
  if (!c.keepsPrototypeKeys && (key === '__proto__' || key === 'constructor' || key === 'prototype')) {
    c.at = start
    return refuse(c, 'json_forbidden_key', 'expected no key __proto__, constructor or prototype')
  }
  if (c.keyCount - firstKey < COMPARED_KEYS) {
    for (let i = firstKey; i < c.keyCount; i++) {
      if (c.keys[i] === key) {
        c.at = start
        return refuse(c, 'json_duplicate_key', 'expected each key once in an object')
      }
    }
  }
  c.keys[c.keyCount++] = key
  return true
}

function cut(c: GrammarCursor, start: number, end: number): string {
  return c.text.length === c.bytes.length ? c.text.slice(start, end) : fromUtf8(c.bytes.subarray(start, end))
}

function closeKeys(c: GrammarCursor, firstKey: number): boolean {
  const many = c.keyCount - firstKey > COMPARED_KEYS
  const repeated = many ? firstRepeated(c.keys.slice(firstKey, c.keyCount)) : undefined
  c.keyCount = firstKey
  return repeated === undefined || refuse(c, 'json_duplicate_key', 'expected each key once in an object')
}

/** Passes over a string in quotes; `escaped` when it holds a backslash. */
function checkString(c: GrammarCursor): 'plain' | 'escaped' | 'refused' {
  const { bytes } = c
  const end = bytes.length
  let form: 'plain' | 'escaped' = 'plain'
  let at = c.at + 1
  for (;;) {
    while (at < end && PLAIN[bytes[at]!] === 1) at++
    c.at = at
    const code = here(c)
    if (code === QUOTE) {
      c.at++
      return form
    }
    if (code !== BACKSLASH) {
      refuse(
        c,
        'json_syntax',
        code >= 0 ? 'expected no raw control character in a string' : 'expected the end of a string',
      )
      return 'refused'
    }
    if (!checkEscape(c)) return 'refused'
    form = 'escaped'
    at = c.at
  }
}

/** Passes over one escape, or over the two that make a surrogate pair (RFC 8259 §7). */
function checkEscape(c: GrammarCursor): boolean {
  c.at++
  const code = here(c)
  if (code !== LOWER_U) {
    if (SHORT_ESCAPE[code] !== 1) return refuse(c, 'json_syntax', 'expected an escape of RFC 8259')
    c.at++
    return true
  }
  const unit = hex4(c)
  if (unit < 0) return refuse(c, 'json_syntax', 'expected four hexadecimal digits after \\u')
  if ((unit & 0xf800) !== 0xd800) return true
  const paired = unit < 0xdc00 && take(c, BACKSLASH) && here(c) === LOWER_U && (hex4(c) & ~0x3ff) === 0xdc00
  return paired || refuse(c, 'json_lone_surrogate', 'expected surrogate escapes in pairs')
}

function take(c: GrammarCursor, code: number): boolean {
  if (here(c) !== code) return false
  c.at++
  return true
}

/** The number that the four hexadecimal digits after the `u` write, or −1. */
function hex4(c: GrammarCursor): number {
  let value = 0
  for (let i = 0; i < 4; i++) {
    c.at++
    const code = here(c)
    const lower = code | 0x20
    if (isDigit(code)) value = (value << 4) | (code - 0x30)
    else if (lower >= 0x61 && lower <= 0x66) value = (value << 4) | (lower - 0x57)
    else return -1
  }
  c.at++
  return value
}

function checkNumber(c: GrammarCursor): boolean {
  take(c, MINUS)
  if (!take(c, ZERO) && !skipDigits(c)) return false
  if (take(c, POINT) && !skipDigits(c)) return false
  if ((here(c) | 0x20) !== LOWER_E) return true
  c.at++
  if (!take(c, PLUS)) take(c, MINUS)
  return skipDigits(c)
}

function skipDigits(c: GrammarCursor): boolean {
  const start = c.at
  while (isDigit(here(c))) c.at++
  return c.at > start || refuse(c, 'json_syntax', 'expected a digit')
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= 0x39
}
