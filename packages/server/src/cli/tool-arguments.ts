/** `name=value` words as the arguments of a tool, read as its schema declares them. Pure. */

import { DoorwardError } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'

/**
 * A declared string is taken literally; every other declared type must be JSON of that type. What the schema does not
 * declare is JSON where it reads as a number, boolean, null, list or object, else a string. Throws `argument_invalid`.
 */
export function readArguments(words: readonly string[], schema: JsonObject): JsonObject {
  const properties = isObject(schema['properties']) ? schema['properties'] : {}
  const given = new Map<string, JsonValue>()
  for (const word of words) {
    const at = word.indexOf('=')
    if (at < 1) throw invalid(word, 'name=value')
    const name = word.slice(0, at)
    if (given.has(name)) throw invalid(name, 'each argument once')
    const declared = Object.hasOwn(properties, name) ? properties[name] : undefined
    given.set(name, valueOf(name, word.slice(at + 1), typesOf(declared)))
  }
  return Object.fromEntries(given)
}

/** Types that the schema allows; null when it does not say. */
function typesOf(declared: JsonValue | undefined): ReadonlySet<string> | null {
  if (!isObject(declared)) return null
  const { type, enum: choices } = declared
  if (typeof type === 'string') return new Set([type])
  if (Array.isArray(type)) return new Set((type as readonly JsonValue[]).filter((one) => typeof one === 'string'))
  const texts = Array.isArray(choices) && choices.every((one) => typeof one === 'string')
  return texts ? new Set(['string']) : null
}

function valueOf(name: string, text: string, types: ReadonlySet<string> | null): JsonValue {
  const parsed = parse(text)
  if (types === null) return parsed === undefined || typeof parsed === 'string' ? text : parsed
  const others = [...types].filter((type) => type !== 'string')
  if (parsed !== undefined && others.some((type) => isOf(parsed, type))) return parsed
  if (types.has('string')) return text
  throw invalid(`${name}=${text}`, others.join(' or '))
}

function parse(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
}

function isOf(value: JsonValue, type: string): boolean {
  switch (type) {
    case 'integer':
      return Number.isInteger(value)
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isObject(value)
    case 'null':
      return value === null
    default:
      return typeof value === type
  }
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(got: string, expected: string): DoorwardError {
  return new DoorwardError('argument_invalid', 'an argument of the tool cannot be read', {
    expected,
    got: got.slice(0, 200),
  })
}
