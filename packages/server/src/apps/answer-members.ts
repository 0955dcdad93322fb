/** Members of what an authority or a gateway answers: empty where there are none, since an older one says less. */

import { isJsonObject } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'

export function objectIn(value: JsonObject, name: string): JsonObject {
  const inner = value[name]
  return isJsonObject(inner) ? inner : {}
}

export function listIn(value: JsonObject, name: string): readonly JsonObject[] {
  const list = value[name]
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter(isJsonObject) : []
}

export function textsIn(value: JsonObject, name: string): readonly string[] {
  const list = value[name]
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter((one) => typeof one === 'string') : []
}

export function textIn(value: JsonObject, name: string): string {
  const text = value[name]
  return typeof text === 'string' ? text : ''
}

export function numberIn(value: JsonObject, name: string): number {
  const number = value[name]
  return typeof number === 'number' ? number : 0
}
