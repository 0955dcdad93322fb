/** Keys that two parsers could read as different fields: CVE-2026-27896, GHSA-q382-vc8q-7jhj. */

import { firstRepeated } from '../json/repeated.ts'
import type { JsonObject } from '../json-value.ts'

/** Protocol fields by what they are after case folding. */
export type FieldTable = ReadonlyMap<string, string>

export function fieldTable(...fields: readonly string[]): FieldTable {
  return new Map(fields.map((field) => [fold(field), field]))
}

/**
 * True when a key of the object holds a control character, equals one of `fields` only after case
 * folding, or equals a sibling after it. Folding is full Unicode case folding by way of upper case, so
 * that U+017F (ſ) is s and U+212A (K) is k. Only the keys of this object are looked at, not deeper ones.
 */
export function hasLookalikeKey(object: JsonObject, fields: FieldTable): boolean {
  let folding = 0
  for (const key in object) {
    if (hasControl(key)) return true
    const folded = isLowerAscii(key) ? key : fold(key)
    const field = fields.get(folded)
    if (field !== undefined && field !== key) return true
    if (folded !== key) folding++
  }
  return folding > 0 && firstRepeated(Object.keys(object).map(fold)) !== undefined
}

function fold(key: string): string {
  return key.toUpperCase().toLowerCase()
}

/** True when folding leaves the key as it is: no letters but a–z. */
function isLowerAscii(key: string): boolean {
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    if (code > 0x7e || (code >= 0x41 && code <= 0x5a)) return false
  }
  return true
}

/** C0, DEL and C1. */
function hasControl(key: string): boolean {
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true
  }
  return false
}
