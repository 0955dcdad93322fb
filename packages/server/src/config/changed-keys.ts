/** Which keys of a configuration say something else than before. */

import type { Configuration } from './schema.ts'

type Value = Configuration | Readonly<Record<string, unknown>>

/** Of maps the inner keys; lists and single values as a whole. */
export function changedKeys(from: Value, to: Value): readonly (readonly string[])[] {
  return [...changedBelow(from, to, [])]
}

function* changedBelow(from: Value, to: Value, path: readonly string[]): Iterable<readonly string[]> {
  const [a, b] = [Object.entries(from), Object.entries(to)].map((entries) => new Map<string, unknown>(entries))
  if (a === undefined || b === undefined) return
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const here = [...path, key]
    const [old, next] = [a.get(key), b.get(key)]
    if (isMap(old) && isMap(next)) yield* changedBelow(old, next, here)
    else if (JSON.stringify(old) !== JSON.stringify(next)) yield here
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
