/** Reading scanned JSON member by member: what is missing, unknown or of another type is refused, never defaulted. */

import { isJsonObject } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import type { EpochSeconds } from '../time.ts'

type Json = JsonValue | undefined

/** The value as an object with exactly the required members and at most the optional ones, else null. */
export function exactObject(
  value: Json,
  required: readonly string[],
  optional: readonly string[] = [],
): JsonObject | null {
  if (!isJsonObject(value)) return null
  for (const name of required) if (!Object.hasOwn(value, name)) return null
  const names = Object.keys(value)
  if (names.length === required.length) return value
  return names.every((name) => required.includes(name) || optional.includes(name)) ? value : null
}

export function isText(value: Json, maxLength: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= maxLength
}

/** A whole number from 0 to 2^53 − 1. */
export function isCount(value: Json): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Whole seconds up to the year 9999. */
export function isSeconds(value: Json): value is EpochSeconds {
  return isCount(value) && value <= 253_402_300_799
}

/** Every item read, or null when the value is no array, is too long or one item is refused. */
export function readList<T>(value: Json, maxLength: number, read: (item: JsonValue) => T | null): readonly T[] | null {
  if (!Array.isArray(value) || value.length > maxLength) return null
  const out: T[] = []
  for (const item of value as readonly JsonValue[]) {
    const one = read(item)
    if (one === null) return null
    out.push(one)
  }
  return out
}

/** True when no two items have the same name. */
export function distinct<T>(items: readonly T[], nameOf: (item: T) => string): boolean {
  return new Set(items.map(nameOf)).size === items.length
}
