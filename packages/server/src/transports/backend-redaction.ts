/** How a service's answer is read for known secrets: JSON as a whole, texts as they come, images and files not at all. */

import { scanJson, SecretStream, withoutSecretsInJson } from '@doorward/core'
import { GrowingBytes } from '@doorward/enforcement'
import type { AnswerFilter } from '@doorward/enforcement'

/** What the service was given by us. */
export interface KnownTexts {
  /** Characters of the longest; 0 for none. */
  readonly longest: number
  readonly without: (text: string) => string
}

export const noTexts: KnownTexts = { longest: 0, without: (text) => text }

/** JSON that is read as a whole; no longer answer of it can be. */
const WHOLE_BYTES = 4 * 1024 * 1024
const JSON_LIMITS = { maxBytes: WHOLE_BYTES, maxDepth: 64, maxKeys: 100_000, prototypeKeys: 'keep' } as const

const JSON_TYPE = /^application\/(?:[a-z0-9.+_-]+\+)?json$/
const BINARY_TYPE =
  /^(?:(?:image|audio|video|font)\/(?!svg)|application\/(?:octet-stream|pdf|zip|gzip|zstd|wasm|x-protobuf|protobuf|cbor|msgpack|x-tar|x-7z-compressed|vnd\.(?:ms-|openxmlformats-|oasis\.)))/
/** Letters of the first 128 are what they are in ASCII, so that secrets are found without knowing the others. */
const CHARSET = /^(?:utf-?8|us-ascii|iso-8859-\d{1,2}|windows-125\d)$/

/** Null for what cannot be read: it must not pass. */
export function openAnswerFilter(
  contentType: string | undefined,
  answerBytes: number,
  known: KnownTexts = noTexts,
): AnswerFilter | null {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';')
  const media = type.trim()
  const named = parameters.map((text) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(text)?.[1])
  if (named.some((charset) => charset !== undefined && !CHARSET.test(charset))) return null
  if (BINARY_TYPE.test(media)) return untouched
  return JSON_TYPE.test(media) ? new WholeJson(Math.min(answerBytes, WHOLE_BYTES), known) : new TextAsItComes(known)
}

const untouched: AnswerFilter = {
  isWhole: false,
  count: 0,
  push: (chunk) => chunk,
  end: () => new Uint8Array(),
}

class WholeJson implements AnswerFilter {
  readonly isWhole = true
  readonly #body = new GrowingBytes()
  readonly #most: number
  readonly #known: KnownTexts
  #count = 0

  constructor(most: number, known: KnownTexts) {
    this.#known = known
    this.#most = most
  }

  get count(): number {
    return this.#count
  }

  push(chunk: Uint8Array): Uint8Array | null {
    if (this.#body.length + chunk.length > this.#most) return null
    this.#body.append(chunk)
    return new Uint8Array()
  }

  end(): Uint8Array | null {
    const bytes = this.#body.view()
    if (bytes.length === 0) return bytes
    const scan = scanJson(bytes, JSON_LIMITS)
    if (!scan.ok) return null
    const { bytes: filtered, count } = withoutSecretsInJson(bytes, scan.value, this.#known.without)
    this.#count = count
    return filtered
  }
}

/** Bytes as letters, one by one: what is not changed stays as it came, in whatever character set. */
class TextAsItComes implements AnswerFilter {
  readonly isWhole = false
  readonly #stream = new SecretStream()
  readonly #known: KnownTexts
  /** May be the beginning of what goes on in the next piece. */
  #held = ''
  #seen = 0
  #count = 0

  constructor(known: KnownTexts) {
    this.#known = known
  }

  get count(): number {
    return this.#stream.count + this.#count
  }

  push(chunk: Uint8Array): Uint8Array | null {
    // UTF-16 and UTF-32 say a letter in more than one byte, and one of them is 0.
    const first = chunk.subarray(0, Math.max(0, 64 - this.#seen))
    this.#seen += first.length
    if (first.includes(0)) return null
    return Buffer.from(this.#stream.push(this.#without(Buffer.from(chunk).toString('latin1'))), 'latin1')
  }

  #without(piece: string): string {
    const before = this.#held + piece
    const text = this.#known.without(before)
    if (text !== before) this.#count++
    const cut = Math.max(0, text.length - Math.max(0, this.#known.longest - 1))
    this.#held = text.slice(cut)
    return text.slice(0, cut)
  }

  end(): Uint8Array {
    return Buffer.from(this.#stream.push(this.#held) + this.#stream.end(), 'latin1')
  }
}

/** What has passed the first goes on to the second. */
export function inTurn(first: AnswerFilter, second: AnswerFilter): AnswerFilter {
  return {
    get isWhole() {
      return first.isWhole || second.isWhole
    },
    get count() {
      return first.count + second.count
    },
    get problem() {
      return second.problem ?? null
    },
    push: (chunk) => {
      const passing = first.push(chunk)
      return passing === null || passing.length === 0 ? passing : second.push(passing)
    },
    end: () => {
      const rest = first.end()
      const last = rest === null || rest.length === 0 ? rest : second.push(rest)
      const end = last === null ? null : second.end()
      return last === null || end === null ? null : Buffer.concat([last, end])
    },
  }
}
