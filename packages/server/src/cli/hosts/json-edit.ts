/** Sets one entry in a JSON file that people write by hand: comments, order, indentation and everything else stay. Pure. */

import { isDeepStrictEqual } from 'node:util'
import { DoorwardError } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { withoutComments } from '../../config/jsonc.ts'

interface Member {
  readonly key: string
  readonly keyStart: number
  readonly valueStart: number
  readonly valueEnd: number
}

interface Span {
  readonly open: number
  readonly close: number
  readonly members: readonly Member[]
}

export interface Entry {
  /** Member of the root object; made when it is missing. */
  readonly member: string
  readonly name: string
  readonly value: JsonObject
}

const SPACE = /[ \t\r\n]/

/** The text with the entry in it; the same text when it is there already. Throws `host_file_invalid` for anything ambiguous. */
export function setEntry(text: string, entry: Entry): string {
  if (text.trim() === '') return `${JSON.stringify({ [entry.member]: { [entry.name]: entry.value } }, null, 2)}\n`
  const bom = text.startsWith('\ufeff') ? '\ufeff' : ''
  const own = text.slice(bom.length)
  const json = withoutComments(own)
  const root = objectAt(json, rootStart(json))
  const container = only(root, entry.member)
  const style = styleOf(own, root)
  if (container === null) {
    return (
      bom +
      insert(own, root, `${JSON.stringify(entry.member)}: ${shown({ [entry.name]: entry.value }, style, 1)}`, {
        ...style,
        depth: 1,
      })
    )
  }
  if (json[container.valueStart] !== '{') throw invalid(`${entry.member} to be an object`)
  const inner = objectAt(json, container.valueStart)
  const held = only(inner, entry.name)
  const value = shown(entry.value, style, 2)
  if (held === null) return bom + insert(own, inner, `${JSON.stringify(entry.name)}: ${value}`, { ...style, depth: 2 })
  if (isDeepStrictEqual(JSON.parse(json.slice(held.valueStart, held.valueEnd)), entry.value)) return text
  return bom + own.slice(0, held.valueStart) + value + own.slice(held.valueEnd)
}

/** Also refuses what a parser would refuse: from here on every offset can be trusted. */
function rootStart(json: string): number {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw invalid('JSON, perhaps with comments', error instanceof Error ? error.message : String(error))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('an object')
  return json.indexOf('{')
}

/** The members of the object whose brace is at `open`. */
function objectAt(json: string, open: number): Span {
  const members: Member[] = []
  let at = skipSpace(json, open + 1)
  while (json[at] !== '}') {
    const keyStart = at
    const keyEnd = skipString(json, at)
    const valueStart = skipSpace(json, skipSpace(json, keyEnd) + 1)
    const valueEnd = skipValue(json, valueStart)
    members.push({ key: JSON.parse(json.slice(keyStart, keyEnd)) as string, keyStart, valueStart, valueEnd })
    at = skipSpace(json, valueEnd)
    if (json[at] === ',') at = skipSpace(json, at + 1)
  }
  return { open, close: at, members }
}

function skipSpace(json: string, from: number): number {
  let at = from
  while (SPACE.test(json[at] ?? '')) at++
  return at
}

function skipString(json: string, from: number): number {
  let at = from + 1
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1
  return at + 1
}

function skipValue(json: string, from: number): number {
  const first = json[from]
  if (first === '"') return skipString(json, from)
  return first === '{' || first === '[' ? skipStructure(json, from) : skipLiteral(json, from)
}

function skipLiteral(json: string, from: number): number {
  let at = from
  while (!/[\s,}\]]/.test(json[at] ?? '}')) at++
  return at
}

function skipStructure(json: string, from: number): number {
  let depth = 0
  let at = from
  do {
    const character = json[at]
    if (character === '{' || character === '[') depth++
    if (character === '}' || character === ']') depth--
    at = character === '"' ? skipString(json, at) : at + 1
  } while (depth > 0)
  return at
}

/** Two members of one name: hosts disagree on which one counts. */
function only(span: Span, key: string): Member | null {
  const named = span.members.filter((member) => member.key === key)
  if (named.length > 1) throw invalid(`one member ${key}`, `${named.length} of them`)
  return named[0] ?? null
}

interface Style {
  readonly unit: string
  readonly eol: string
}

/** As the first member of the root is written. */
function styleOf(text: string, root: Span): Style {
  const eol = text.includes('\r\n') ? '\r\n' : '\n'
  const [first] = root.members
  const before = first === undefined ? '' : text.slice(text.lastIndexOf('\n', first.keyStart) + 1, first.keyStart)
  return { unit: /^[ \t]+$/.test(before) ? before : '  ', eol }
}

function shown(value: JsonObject, { unit, eol }: Style, depth: number): string {
  return JSON.stringify(value, null, unit).replaceAll('\n', eol + unit.repeat(depth))
}

/** Appends a member. A trailing comma that was there then trails the new one. */
function insert(
  text: string,
  span: Span,
  member: string,
  { unit, eol, depth }: Style & { readonly depth: number },
): string {
  const last = span.members.at(-1)
  const line = eol + unit.repeat(depth) + member
  if (last !== undefined) return `${text.slice(0, last.valueEnd)},${line}${text.slice(last.valueEnd)}`
  return `${text.slice(0, span.open + 1)}${line}${eol}${unit.repeat(depth - 1)}${text.slice(span.open + 1).trimStart()}`
}

function invalid(expected: string, got?: string): DoorwardError {
  return new DoorwardError(
    'host_file_invalid',
    'the configuration of the host is not what it should be; it was left as it is',
    {
      expected,
      ...(got === undefined ? {} : { got }),
      next: 'repair the file, or name another one with --config-file',
    },
  )
}
