/**
 * Takes known secrets out of a text that comes in pieces, wherever it is cut: what may be the beginning of one is held back
 * until more is there. Pure.
 *
 * Nothing that is known but a private key crosses the end of a line, and all but what has already shown itself to be a secret
 * are decided within `LOOK` characters. So whole lines pass at once, and of a line that is not complete all but its end.
 */

import { REDACTED, secretSpans, textWithoutSecrets } from '../kept/secret-filter.ts'

/** Longer than the longest beginning by which a secret can be told, an address with a name and a password. */
const LOOK = 512
/** What is held back; a secret that is longer is cut off here and left out to its end. */
const MOST_HELD = 4096

const BEGIN = '-----BEGIN '
const END = /-----END [^-]{0,80}-----/
/** Longer than the end of a key. */
const END_LENGTH = 100
/** Whatever a token may go on with. */
const NO_TOKEN = /[^A-Za-z0-9._~+/=%-]/
/** A token whose first part has not ended. */
const UNDECIDED = /\beyJ[A-Za-z0-9_.-]*$/

export class SecretStream {
  #held = ''
  /** What is left out: to the end of a key, or of a token. */
  #leaves: 'key' | 'token' | null = null
  #count = 0

  /** Secrets that were taken out so far. */
  get count(): number {
    return this.#count
  }

  /** What of the text so far may go on. */
  push(piece: string): string {
    this.#held += piece
    this.#leave()
    if (this.#leaves !== null) return ''
    const out = this.#take(safeCut(this.#held))
    if (this.#held.length <= MOST_HELD) return out
    this.#leaves = this.#held.startsWith(BEGIN) ? 'key' : 'token'
    this.#held = this.#leaves === 'key' ? this.#held.slice(-END_LENGTH) : ''
    this.#count++
    return `${out}${REDACTED}`
  }

  /** The rest. */
  end(): string {
    const rest = this.#leaves === null ? this.#take(this.#held.length) : ''
    this.#held = ''
    return rest
  }

  #leave(): void {
    if (this.#leaves === 'token') {
      const at = this.#held.search(NO_TOKEN)
      this.#held = at < 0 ? '' : this.#held.slice(at)
      if (at >= 0) this.#leaves = null
    } else if (this.#leaves === 'key') {
      const end = END.exec(this.#held)
      this.#held = end === null ? this.#held.slice(-END_LENGTH) : this.#held.slice(end.index + end[0].length)
      if (end !== null) this.#leaves = null
    }
  }

  #take(length: number): string {
    const text = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    const filtered = textWithoutSecrets(text)
    if (filtered !== text) this.#count += Math.max(1, occurrences(filtered) - occurrences(text))
    return filtered
  }
}

/** Up to here nothing that is or may become a secret is cut in two. */
function safeCut(text: string): number {
  const line = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r')) + 1
  const spans = secretSpans(text)
  const undecided = UNDECIDED.exec(text)
  if (undecided !== null) spans.push({ start: undecided.index, end: text.length })
  let cut = Math.max(line, wordStart(text, Math.max(0, text.length - LOOK)))
  for (;;) {
    const across = spans.find(({ start, end }) => start < cut && (end > cut || end === text.length))
    if (across === undefined) return cut
    cut = across.start
  }
}

/** Where the word begins that the place is in: cut in its middle, its rest would look like a word. */
function wordStart(text: string, at: number): number {
  let start = at
  while (start > 0 && at - start < LOOK && /\w/.test(text[start] ?? '') && /\w/.test(text[start - 1] ?? '')) start--
  return at - start < LOOK ? start : at
}

function occurrences(text: string): number {
  return text.split(REDACTED).length - 1
}
