/** What a tool says about its arguments (JSON Schema), as far as policies can judge it. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { quote } from './cedar-text.ts'

export type ArgumentType =
  | { readonly kind: 'string' | 'long' | 'boolean' | 'decimal' }
  | { readonly kind: 'set'; readonly of: ArgumentType }
  | { readonly kind: 'record'; readonly members: ReadonlyMap<string, ArgumentMember> }

export interface ArgumentMember {
  readonly type: ArgumentType
  readonly required: boolean
}

export interface Arguments {
  readonly type: Extract<ArgumentType, { kind: 'record' }>
  /** Arguments whose type no policy can judge, such as one of several; `a.b` for a member. */
  readonly unjudged: readonly string[]
}

const MAX_DEPTH = 16
const MAX_MEMBERS = 1000

/** The arguments of a tool from its input schema. Never throws: what is not understood is in `unjudged`. */
export function readArguments(inputSchema: JsonObject): Arguments {
  const reading = new Reading(inputSchema)
  return { type: reading.record(inputSchema, [], 0), unjudged: reading.unjudged }
}

class Reading {
  readonly unjudged: string[] = []
  readonly #root: JsonObject
  #members = 0

  constructor(root: JsonObject) {
    this.#root = root
  }

  record(schema: JsonObject, path: readonly string[], depth: number): Extract<ArgumentType, { kind: 'record' }> {
    const { properties, required } = schema
    const demanded = new Set(Array.isArray(required) ? required : [])
    const members = new Map<string, ArgumentMember>()
    for (const [name, one] of isJsonObject(properties) ? Object.entries(properties) : []) {
      const at = [...path, name]
      const type = ++this.#members > MAX_MEMBERS ? null : this.#type(one, at, depth + 1)
      if (type === null) this.unjudged.push(at.join('.'))
      else members.set(name, { type, required: demanded.has(name) })
    }
    return { kind: 'record', members }
  }

  #type(schema: JsonValue, path: readonly string[], depth: number): ArgumentType | null {
    if (!isJsonObject(schema) || depth > MAX_DEPTH) return null
    const { $ref } = schema
    if ($ref !== undefined) {
      const target = typeof $ref === 'string' ? this.#target($ref) : null
      return target === null ? null : this.#type(target, path, depth + 1)
    }
    switch (soleType(schema)) {
      case 'string':
        return { kind: 'string' }
      case 'boolean':
        return { kind: 'boolean' }
      case 'integer':
        return { kind: 'long' }
      case 'number':
        return { kind: 'decimal' }
      case 'array': {
        const of = this.#type(schema['items'] ?? null, [...path, '*'], depth + 1)
        return of === null ? null : { kind: 'set', of }
      }
      case 'object':
        return isJsonObject(schema['properties']) ? this.record(schema, path, depth) : null
      case undefined:
      default:
        return null
    }
  }

  /** `#/$defs/name` and `#/definitions/name`. */
  #target(reference: string): JsonObject | null {
    const [, place = '', name = ''] = /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(reference) ?? []
    const definitions = this.#root[place]
    const target = isJsonObject(definitions) && Object.hasOwn(definitions, name) ? definitions[name] : undefined
    return isJsonObject(target) ? target : null
  }
}

/** The one type that every value has, null besides allowed; `undefined` where there are several or none is said. */
function soleType(schema: JsonObject): string | undefined {
  const { type, anyOf, oneOf, enum: values } = schema
  const named = typeof type === 'string' ? [type] : Array.isArray(type) ? type : null
  if (named !== null) {
    const [one, ...more] = named.filter((name) => name !== 'null')
    if (one === undefined) return named.length > 0 ? 'null' : undefined
    return more.length === 0 && typeof one === 'string' ? one : undefined
  }
  if (Array.isArray(values))
    return values.length > 0 && values.every((value) => typeof value === 'string') ? 'string' : undefined
  const choices: JsonValue | undefined = anyOf ?? oneOf
  if (!Array.isArray(choices)) return undefined
  const types = new Set(choices.map((choice: JsonValue) => (isJsonObject(choice) ? soleType(choice) : undefined)))
  types.delete('null')
  const [one] = types
  // Members of objects and arrays would have to be the same too.
  return types.size === 1 && one !== 'object' && one !== 'array' ? one : undefined
}

/** In Cedar's schema syntax. */
export function writeArgumentType(type: ArgumentType): string {
  switch (type.kind) {
    case 'string':
      return 'String'
    case 'long':
      return 'Long'
    case 'boolean':
      return 'Bool'
    case 'decimal':
      return '__cedar::decimal'
    case 'set':
      return `Set<${writeArgumentType(type.of)}>`
    case 'record': {
      const members = [...type.members].map(
        ([name, member]) => `${quote(name)}${member.required ? '' : '?'}: ${writeArgumentType(member.type)}`,
      )
      return `{${members.join(', ')}}`
    }
  }
}
