/**
 * The one text of a JSON body in which nothing is rounded: members in the order of their names, no white space, strings in
 * one spelling, numbers as they are written. Two bodies with the same text say the same to every parser.
 */

import { fromUtf8 } from '../bytes.ts'

/** True for a member that does not count, by the names that lead to it. */
export type LeftOut = (path: readonly string[]) => boolean

const nothingLeftOut: LeftOut = () => false

/**
 * `bytes` must have passed `scanJson`: grammar, depth and keys are not checked again. An object that has become empty
 * because members were left out is left out, too, unless it is the whole.
 */
export function exactJson(bytes: Uint8Array, leftOut: LeftOut = nothingLeftOut): string {
  return new Reader(fromUtf8(bytes), leftOut).value([]) ?? '{}'
}

/** What may follow a number or a word. */
const ENDS: ReadonlySet<string> = new Set([' ', '\t', '\n', '\r', ',', ']', '}'])

class Reader {
  readonly #text: string
  readonly #leftOut: LeftOut
  #at = 0

  constructor(text: string, leftOut: LeftOut) {
    this.#text = text
    this.#leftOut = leftOut
  }

  /** Null for an object of which nothing is left. */
  value(path: readonly string[]): string | null {
    this.#space()
    const first = this.#text[this.#at]
    if (first === '{') return this.#object(path)
    if (first === '[') return this.#array(path)
    return first === '"' ? JSON.stringify(this.#string()) : this.#scalar()
  }

  #object(path: readonly string[]): string | null {
    const members: (readonly [name: string, text: string])[] = []
    let dropped = false
    this.#at++
    for (this.#space(); this.#text[this.#at] !== '}'; this.#next()) {
      const name = this.#string()
      this.#space()
      this.#at++
      const here = [...path, name]
      const text = this.value(here)
      if (text === null || this.#leftOut(here)) dropped = true
      else members.push([name, text])
    }
    this.#at++
    if (dropped && members.length === 0) return null
    // Code units, as RFC 8785 §3.2.3 has it.
    const sorted = members.toSorted(([a], [b]) => (a < b ? -1 : 1))
    return `{${sorted.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`
  }

  /** What is in a list is not left out: every item has its place. */
  #array(path: readonly string[]): string {
    const items: string[] = []
    this.#at++
    for (this.#space(); this.#text[this.#at] !== ']'; this.#next()) items.push(this.value([...path, '']) ?? '{}')
    this.#at++
    return `[${items.join(',')}]`
  }

  #string(): string {
    const start = this.#at++
    while (this.#at < this.#text.length && this.#text[this.#at] !== '"')
      this.#at += this.#text[this.#at] === '\\' ? 2 : 1
    return JSON.parse(this.#text.slice(start, ++this.#at)) as string
  }

  #scalar(): string {
    const start = this.#at
    while (this.#at < this.#text.length && !ENDS.has(this.#text[this.#at] ?? '')) this.#at++
    return this.#text.slice(start, this.#at)
  }

  /** Past the comma, if there is one. */
  #next(): void {
    this.#space()
    if (this.#text[this.#at] === ',') {
      this.#at++
      this.#space()
    }
    if (this.#at >= this.#text.length) throw new RangeError('the bytes are no JSON')
  }

  #space(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? 'x')) this.#at++
  }
}
