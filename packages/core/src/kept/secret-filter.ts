/**
 * Takes out of a value what is known to be a secret, before it is stored. A filter finds what it knows: what must not be
 * on record is not to be named by a rule.
 */

import { isJsonObject } from '../json/object.ts'
import type { JsonValue } from '../json-value.ts'

export const REDACTED = '[redacted]'

/** Each is linear: a fixed beginning, then one class of characters, and nothing after it that could be missing. */
const formats: readonly RegExp[] = [
  /\b(?:bearer|basic|dpop)[ \t]{1,8}[A-Za-z0-9._~+/=-]{6,}/gi,
  /\bdoorward-join-1\.[A-Za-z0-9_-]*/g,
  /\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}/g,
  /\bgh[a-z]_[A-Za-z0-9_]{16,}/g,
  /\bgithub_pat_[A-Za-z0-9_]{16,}/g,
  /\bglpat-[A-Za-z0-9_-]{16,}/g,
  /\bxox[a-z]-[A-Za-z0-9-]{10,}/g,
  /\bAIza[A-Za-z0-9_-]{30,}/g,
  /\bya29\.[A-Za-z0-9_-]{16,}/g,
  /\b(?:sk|rk|pk)[-_][A-Za-z0-9_-]{16,}/g,
  /\b(?:npm|hf|pypi|dop_v1|shpat|SG)[-_.][A-Za-z0-9_.-]{20,}/g,
  /\b(?:AccountKey|SharedAccessKey|sig)=[A-Za-z0-9+/%=]{16,}/g,
  /:\/\/[^\s/@:]{0,128}:[^\s/@]{1,256}@/g,
]

const SECRET_NAME =
  /(?:^|[._-])(?:pass(?:word|wd|phrase)?|pwd|secret|tokens?|credentials?|authorization|cookie|bearer|signature|(?:api|access|private|secret|auth|signing|encryption)[._-]?key|auth)(?:$|[._-])/i

/** The value without what is known to be a secret; `name` is the member that it stands under, empty for none. */
export function withoutSecrets(value: JsonValue, name = ''): JsonValue {
  if (typeof value === 'string') return textWithoutSecrets(value, name)
  if (Array.isArray(value)) return value.map((each: JsonValue) => withoutSecrets(each, name))
  if (!isJsonObject(value)) return value
  // Own members whatever they are called, `__proto__` too.
  return Object.fromEntries(
    Object.entries(value).map(([member, each]) => [withoutFormats(member), withoutSecrets(each, member)]),
  )
}

/** As `withoutSecrets`, of one text. */
export function textWithoutSecrets(text: string, name = ''): string {
  return namesSecret(name) && looksRandom(text) ? REDACTED : withoutFormats(text)
}

function withoutFormats(text: string): string {
  // Nothing of what is looked for is shorter.
  if (text.length < 8) return text
  const rest = withoutTokens(withoutPrivateKeys(text))
  return formats.reduce((kept, format) => kept.replace(format, REDACTED), rest)
}

const TOKEN_START = /\beyJ/g
const LETTERS = /[A-Za-z0-9_-]*/y
const TOKEN = /eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*){0,3}/y

interface Span {
  readonly start: number
  readonly end: number
}

/** Tokens of RFC 7515 and 7516. Letters that no point follows are read once, however often a token could begin in them. */
function tokenSpans(text: string): Span[] {
  const spans: Span[] = []
  let [from, letters] = [0, 0]
  for (const { index } of text.matchAll(TOKEN_START)) {
    if (index < letters || index < from) continue
    LETTERS.lastIndex = index
    letters = index + (LETTERS.exec(text)?.[0].length ?? 0)
    if (text[letters] !== '.') continue
    TOKEN.lastIndex = index
    const found = TOKEN.exec(text)?.[0]
    if (found === undefined) continue
    from = index + found.length
    spans.push({ start: index, end: from })
  }
  return spans
}

function withoutTokens(text: string): string {
  let [out, from] = ['', 0]
  for (const { start, end } of tokenSpans(text)) {
    out += text.slice(from, start) + REDACTED
    from = end
  }
  return out + text.slice(from)
}

/** Where in the text known secrets stand, in no order; one that may go on ends with the text. */
export function secretSpans(text: string): Span[] {
  const known = formats.map((format) =>
    Array.from(text.matchAll(format), ({ 0: found, index }) => ({ start: index, end: index + found.length })),
  )
  const spans = [...known, tokenSpans(text)].flat()
  for (let from = 0; ;) {
    const begin = text.indexOf(BEGIN, from)
    if (begin < 0) return spans
    const head = KEY_HEAD.test(text.slice(begin, begin + 80))
    const end = head ? privateKeyEnd(text, begin) : begin + BEGIN.length
    if (head) spans.push({ start: begin, end })
    from = end
  }
}

const BEGIN = '-----BEGIN '
const END = '-----END '
const KEY_HEAD = /^-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----/

/** From the head of a PEM to its end, or to the end of the text where it was cut off. */
function withoutPrivateKeys(text: string): string {
  let [out, from] = ['', 0]
  for (;;) {
    const begin = text.indexOf(BEGIN, from)
    if (begin < 0) return out + text.slice(from)
    if (!KEY_HEAD.test(text.slice(begin, begin + 80))) {
      out += text.slice(from, begin + BEGIN.length)
      from = begin + BEGIN.length
      continue
    }
    out += text.slice(from, begin) + REDACTED
    from = privateKeyEnd(text, begin)
  }
}

/** Behind the end of a PEM, or of the text where it was cut off. */
function privateKeyEnd(text: string, begin: number): number {
  const end = text.indexOf(END, begin)
  const close = end < 0 ? -1 : text.indexOf('-----', end + END.length)
  return close < 0 ? text.length : close + 5
}

/** `apiKey` is `api_key`. */
function namesSecret(name: string): boolean {
  return SECRET_NAME.test(name.slice(0, 256).replace(/([a-z0-9])([A-Z])/g, '$1_$2'))
}

const LEAST_LENGTH = 8
/** Bits per character (Shannon): words that are repeated have less, what a person or a machine chose as a secret more. */
const LEAST_ENTROPY = 2

function looksRandom(text: string): boolean {
  if (text.length < LEAST_LENGTH) return false
  const sample = text.slice(0, 256)
  const counts = new Map<string, number>()
  for (const character of sample) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / sample.length) * Math.log2(count / sample.length)
  return bits >= LEAST_ENTROPY
}
