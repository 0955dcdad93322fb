/** Looking into JSON that comes from outside. */

import type { JsonObject, JsonValue } from '../json-value.ts'

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The own member `key`, or undefined: `toString` is not a member of `{}`. For names that come from
 * outside; parsed objects have `Object.prototype` behind them (see `scanJson`).
 */
export function member(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
