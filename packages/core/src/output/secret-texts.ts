/** Takes known secrets out of the texts of one JSON-RPC message, in place: every other byte stays as it is. */

import { fromUtf8, joinBytes, utf8 } from '../bytes.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { textWithoutSecrets } from '../kept/secret-filter.ts'

export interface FilteredTexts {
  /** The very bytes given when nothing is found. */
  readonly bytes: Uint8Array
  /** Texts of which something was taken. */
  readonly count: number
}

/** What a message says to its reader stands below these. */
const SAID: ReadonlySet<string> = new Set(['result', 'error', 'params'])
/** Directly below them: what is given back to the server as it is, and what names an exchange. */
const HANDLES: ReadonlySet<string> = new Set(['requestState', 'nextCursor', 'taskId', 'progressToken', 'requestId'])

/**
 * `withoutKnown` takes out of a text what its reader may not have, whatever it looks like. `value` is what `bytes` say, scanned
 * without doubt and bounded in depth. O(n).
 */
export function withoutSecretTexts(bytes: Uint8Array, value: JsonValue, withoutKnown: Filter = asItIs): FilteredTexts {
  const walk = new Walk(bytes, withoutKnown)
  walk.message(value)
  return edited(bytes, walk.edits)
}

/** As `withoutSecretTexts`, of any JSON: all of its texts, and the names of its members. */
export function withoutSecretsInJson(
  bytes: Uint8Array,
  value: JsonValue,
  withoutKnown: Filter = asItIs,
): FilteredTexts {
  const walk = new Walk(bytes, withoutKnown)
  walk.whole(value)
  return edited(bytes, walk.edits)
}

type Filter = (text: string) => string

const asItIs: Filter = (text) => text

function edited(bytes: Uint8Array, edits: readonly Edit[]): FilteredTexts {
  if (edits.length === 0) return { bytes, count: 0 }
  const parts: Uint8Array[] = []
  let from = 0
  for (const { start, end, text } of edits) {
    parts.push(bytes.subarray(from, start), utf8(JSON.stringify(text)))
    from = end
  }
  parts.push(bytes.subarray(from))
  return { bytes: joinBytes(parts), count: edits.length }
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const [OBJECT_END, ARRAY_END] = [0x7d, 0x5d]

/** Goes through bytes and value side by side. */
class Walk {
  readonly edits: Edit[] = []
  readonly #bytes: Uint8Array
  readonly #withoutKnown: Filter
  #at = 0

  constructor(bytes: Uint8Array, withoutKnown: Filter) {
    this.#bytes = bytes
    this.#withoutKnown = withoutKnown
  }

  whole(value: JsonValue): void {
    this.#space()
    this.#value(value, '', null)
  }

  message(value: JsonValue): void {
    this.#space()
    if (!isJsonObject(value)) return
    this.#members(value, (name, inner) => {
      if (!SAID.has(name) || !isJsonObject(inner)) return this.#skip(inner)
      this.#members(inner, (said, text) => (HANDLES.has(said) ? this.#skip(text) : this.#value(text, said, inner)))
    })
  }

  #members(object: JsonObject, each: (name: string, value: JsonValue) => void, filtersNames = false): void {
    this.#at++
    const names = new Set<string>()
    for (this.#space(); this.#bytes[this.#at] !== OBJECT_END; this.#next()) {
      const start = this.#at
      const name = this.#name()
      if (filtersNames) this.#filterName({ start, end: this.#at, text: name }, names)
      this.#space()
      this.#at++
      this.#space()
      each(name, member(object, name) ?? null)
    }
    this.#at++
  }

  #value(value: JsonValue, name: string, parent: JsonObject | null): void {
    if (typeof value === 'string') return this.#text(value, name, parent)
    if (Array.isArray(value)) {
      this.#at++
      this.#space()
      for (const item of value as readonly JsonValue[]) {
        this.#value(item, name, null)
        this.#next()
      }
      this.#at++
    } else if (isJsonObject(value)) this.#members(value, (inner, one) => this.#value(one, inner, value), true)
    else this.#skip(value)
  }

  #text(text: string, name: string, parent: JsonObject | null): void {
    const start = this.#at
    this.#skipString()
    if (isEncoded(text, name, parent)) return
    const filtered = textWithoutSecrets(this.#withoutKnown(text), name)
    if (filtered !== text) this.edits.push({ start, end: this.#at, text: filtered })
  }

  /** No two names of an object become the same. */
  #filterName({ start, end, text }: Edit, names: Set<string>): void {
    const filtered = textWithoutSecrets(this.#withoutKnown(text))
    if (filtered === text) return
    const own = names.has(filtered) ? `${filtered} ${names.size + 1}` : filtered
    names.add(own)
    this.edits.push({ start, end, text: own })
  }

  #skip(value: JsonValue): void {
    if (typeof value === 'string') return this.#skipString()
    if (Array.isArray(value)) {
      this.#at++
      this.#space()
      for (const item of value as readonly JsonValue[]) {
        this.#skip(item)
        this.#next()
      }
      this.#at++
    } else if (isJsonObject(value)) this.#members(value, (_, inner) => this.#skip(inner))
    else while (this.#at < this.#bytes.length && !endsScalar(this.#bytes[this.#at])) this.#at++
  }

  #name(): string {
    const start = this.#at
    this.#skipString()
    const raw = fromUtf8(this.#bytes.subarray(start, this.#at))
    return raw.includes('\\') ? String(JSON.parse(raw)) : raw.slice(1, -1)
  }

  #skipString(): void {
    this.#at++
    while (this.#at < this.#bytes.length && this.#bytes[this.#at] !== QUOTE)
      this.#at += this.#bytes[this.#at] === BACKSLASH ? 2 : 1
    this.#at++
  }

  /** Past the comma, if there is one, to the next item or the end. */
  #next(): void {
    this.#space()
    if (this.#bytes[this.#at] === COMMA) {
      this.#at++
      this.#space()
    }
    if (this.#at >= this.#bytes.length) throw new RangeError('the bytes do not say what the value is')
  }

  #space(): void {
    while (isSpace(this.#bytes[this.#at])) this.#at++
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function endsScalar(byte: number | undefined): boolean {
  return byte === undefined || byte === COMMA || byte === OBJECT_END || byte === ARRAY_END || isSpace(byte)
}

/** Shorter than that a text is read. */
const LEAST_ENCODED = 64

/** Images, sounds and files are no texts: what looks like a secret in their letters is chance, and changing it breaks them. */
function isEncoded(text: string, name: string, parent: JsonObject | null): boolean {
  if (name !== 'blob' && name !== 'data') return false
  const type = parent === null ? undefined : member(parent, 'type')
  if (name === 'data' && type !== 'image' && type !== 'audio') return false
  return text.length >= LEAST_ENCODED && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}
