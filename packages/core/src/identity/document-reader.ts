/** Reading what an operator wrote: every mistake is told with its place, not only the first. */

import { isJsonObject } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'

export type DocumentKeys = readonly (string | number)[]

export interface DocumentProblem {
  /** From the document down to the place; empty for the document itself. */
  readonly keys: DocumentKeys
  readonly message: string
  readonly expected: string | null
  /** Shortened; null where it goes without saying. */
  readonly got: string | null
}

const SHOWN = 60

/** A value at its place, with the list that problems go to. */
export interface Place {
  readonly keys: DocumentKeys
  readonly problems: DocumentProblem[]
}

export function inside({ keys, problems }: Place, key: string | number): Place {
  return { keys: [...keys, key], problems }
}

/** Adds a problem and stands for the value that is not there. */
export function refuseValue(
  { keys, problems }: Place,
  message: string,
  expected: string | null,
  got: JsonValue | undefined,
): null {
  problems.push({ keys, message, expected, got: got === undefined ? null : shown(got) })
  return null
}

function shown(value: JsonValue): string {
  const text = JSON.stringify(value)
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}

/** The value as an object with the required keys and at most the optional ones; unknown keys are problems of their own. */
export function readKeys(
  place: Place,
  value: JsonValue | undefined,
  required: readonly string[],
  optional: readonly string[] = [],
): JsonObject | null {
  if (!isJsonObject(value)) return refuseValue(place, 'wrong type', 'a map', value)
  const known = [...required, ...optional]
  for (const key of Object.keys(value))
    if (!known.includes(key)) refuseValue(inside(place, key), 'unknown key', known.join(', '), undefined)
  for (const key of required)
    if (!Object.hasOwn(value, key)) refuseValue(inside(place, key), 'missing', 'a value', undefined)
  return value
}

export interface TextRule {
  /** Text that is kept in place of the one given, or null when that is refused. */
  readonly read: (text: string) => string | null
  readonly message: string
  readonly expected: string
}

export function readText(place: Place, value: JsonValue | undefined, { read, message, expected }: TextRule): string {
  if (value === undefined) return ''
  if (typeof value !== 'string') return refuseValue(place, 'wrong type', 'text', value) ?? ''
  return read(value) ?? refuseValue(place, message, expected, value) ?? ''
}

/** A list without repetition, sorted: its order means nothing. */
export function readTexts(
  place: Place,
  value: JsonValue | undefined,
  rule: TextRule,
  limit: number,
): readonly string[] {
  return readSet(place, value, limit, (item, at) => readText(at, item, rule)).toSorted()
}

/** Items by `read`, each once by its JSON. */
export function readSet<T>(
  place: Place,
  value: JsonValue | undefined,
  limit: number,
  read: (item: JsonValue, at: Place) => T,
): readonly T[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) {
    refuseValue(place, 'wrong type', 'a list', value)
    return []
  }
  const items = value as readonly JsonValue[]
  if (items.length > limit) {
    refuseValue(place, 'too many', `at most ${limit}`, items.length)
    return []
  }
  const seen = new Set<string>()
  return items.map((item, i) => {
    const one = read(item, inside(place, i))
    const text = JSON.stringify(one)
    if (seen.has(text) && text !== '""' && text !== 'null') refuseValue(inside(place, i), 'repeated', 'each once', item)
    seen.add(text)
    return one
  })
}

export function readFlag(place: Place, value: JsonValue | undefined): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false
  return refuseValue(place, 'wrong type', 'true or false', value) ?? false
}
