/** The one text of a JSON value: members in the order of their names, no white space (as RFC 8785 has it). */

import { isJsonObject } from '../json/object.ts'
import type { JsonValue } from '../json-value.ts'

/** Recursive: the depth of `value` has to be bounded by whoever has parsed it. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map((each: JsonValue) => canonicalJson(each)).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value)
  // Code units, as RFC 8785 §3.2.3 has it, which is what the default order compares.
  const names = Object.keys(value).toSorted()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name] ?? null)}`).join(',')}}`
}
