/** A file of Cedar policies, taken apart: each policy with its id, and places of bytes as lines and columns. */

import type { PolicyFile } from '@doorward/core'
import type { Cedar, CedarError } from './cedar-module.ts'
import type { PolicyProblem } from './policy-problem.ts'

const NEWLINE = 10

export interface PlacedPolicy {
  readonly id: string
  readonly text: string
  /** Null for one that was made from a role. */
  readonly at: { readonly places: Places; readonly offset: number } | null
}

/** Lines and columns of one file, from 1; columns count characters. */
export class Places {
  readonly name: string
  readonly #bytes: Buffer
  /** The byte at which each line starts. */
  readonly #lines: readonly number[]

  constructor({ name, text }: PolicyFile) {
    this.name = name
    this.#bytes = Buffer.from(text)
    const lines = [0]
    for (let end = this.#bytes.indexOf(NEWLINE); end >= 0; end = this.#bytes.indexOf(NEWLINE, end + 1))
      lines.push(end + 1)
    this.#lines = lines
  }

  /** `<file>:<line>:<column>`. */
  at(byte: number): string {
    let [line, after] = [0, this.#lines.length]
    while (after - line > 1) {
      const middle = (line + after) >> 1
      if ((this.#lines[middle] ?? 0) <= byte) line = middle
      else after = middle
    }
    const column = this.#bytes.subarray(this.#lines[line], byte).toString().length + 1
    return `${this.name}:${line + 1}:${column}`
  }
}

/** Bytes from the start of the policy's own text. */
export function placeIn({ id, at }: PlacedPolicy, error: CedarError): string {
  if (at === null) return id
  return at.places.at(at.offset + (error.sourceLocations?.[0]?.start ?? 0))
}

type Parts = { readonly policies: readonly PlacedPolicy[] } | { readonly problems: readonly PolicyProblem[] }

/** The official parser overflows its stack some way beyond this, and cannot tell where. */
const MAX_NESTING = 100

/** The first bracket that is too deep, in bytes; null where there is none. */
function tooDeep(text: string): number | null {
  let depth = 0
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|\/\/.*|[([{]|[)\]}]/g)) {
    if (token.length > 1) continue
    if (')]}'.includes(token)) depth--
    else if (++depth > MAX_NESTING) return Buffer.byteLength(text.slice(0, index))
  }
  return null
}

/** Ids are `<file>#<@id>`, or `<file>:<line>` without the annotation. */
export function takeApart(file: PolicyFile, cedar: Cedar): Parts {
  const places = new Places(file)
  const deep = tooDeep(file.text)
  if (deep !== null) {
    const message = `more than ${MAX_NESTING} brackets within each other`
    return { problems: [{ code: 'policy_syntax', policyId: null, where: places.at(deep), message, help: null }] }
  }
  const parts = cedar.policySetTextToParts(file.text)
  if (parts.type === 'failure') {
    // The parser stops at the first mistakes that it cannot read beyond.
    return { problems: parts.errors.map((error) => syntaxProblem(places, error)) }
  }
  const [template] = parts.policy_templates
  if (template !== undefined) {
    const where = places.at(Buffer.byteLength(file.text.slice(0, Math.max(0, file.text.indexOf(template)))))
    const message = 'a template, which stands for no policy by itself'
    const help = 'write the policy with the principal or resource in place of the slot'
    return { problems: [{ code: 'policy_template', policyId: null, where, message, help }] }
  }
  let from = 0
  let byte = 0
  const policies = inOrder(parts.policies).map((text) => {
    const start = file.text.indexOf(text, from)
    byte += Buffer.byteLength(file.text.slice(from, start))
    const offset = byte
    from = start + text.length
    byte += Buffer.byteLength(text)
    return { id: '', text, at: { places, offset } }
  })
  return { policies }
}

/** Sorted by the text of their ids, `policy10` stands before `policy2`. */
function inOrder(sorted: readonly string[]): readonly string[] {
  const ids = Array.from(sorted, (_text, i) => i).toSorted((a, b) => (`policy${a}` < `policy${b}` ? -1 : 1))
  const texts: string[] = []
  for (const [i, id] of ids.entries()) texts[id] = sorted[i] ?? ''
  return texts
}

export function idOf(annotations: ReadonlyMap<string, string>, { at }: PlacedPolicy): string {
  if (at === null) return ''
  const named = annotations.get('id')
  const { places, offset } = at
  if (named !== undefined && named !== '') return `${places.name}#${named}`
  return places.at(offset).replace(/:\d+$/, '')
}

function syntaxProblem(places: Places, error: CedarError): PolicyProblem {
  const { start } = error.sourceLocations?.[0] ?? { start: 0 }
  const message = error.message.replace('failed to parse policies from string: ', '')
  return { code: 'policy_syntax', policyId: null, where: places.at(start), message, help: error.help }
}
