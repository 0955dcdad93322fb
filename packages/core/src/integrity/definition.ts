/** What a server defines, as operators approve it: each item as a whole, under one digest. */

import { hex, utf8 } from '../bytes.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { canonicalJson } from '../kept/canonical-json.ts'
import type { Sha256 } from '../primitives.ts'

/** `server`: what it says of itself, its `instructions` and its `name`. */
export const definitionKinds = ['server', 'tool', 'prompt', 'resource_template'] as const
export type DefinitionKind = (typeof definitionKinds)[number]

export interface Definition {
  readonly kind: DefinitionKind
  /** Name of the tool or prompt, URI template of the resource template, what of the server. */
  readonly name: string
  /** The item as it is listed. */
  readonly value: JsonObject
}

interface ListShape {
  readonly kind: DefinitionKind
  readonly items: string
  readonly name: string
}

/** By the method that lists them. Resources themselves are content, and not among them. */
const lists: ReadonlyMap<string, ListShape> = new Map([
  ['tools/list', { kind: 'tool', items: 'tools', name: 'name' }],
  ['prompts/list', { kind: 'prompt', items: 'prompts', name: 'name' }],
  ['resources/templates/list', { kind: 'resource_template', items: 'resourceTemplates', name: 'uriTemplate' }],
])

/** What the result of the method defines, in its order; null for methods that define nothing, and for malformed results. */
export function listedDefinitions(method: string, result: JsonValue | undefined): readonly Definition[] | null {
  const shape = lists.get(method)
  const items = shape !== undefined && isJsonObject(result) ? member(result, shape.items) : undefined
  if (shape === undefined || !Array.isArray(items)) return null
  const definitions: Definition[] = []
  for (const value of items as readonly JsonValue[]) {
    const name = isJsonObject(value) ? member(value, shape.name) : undefined
    if (!isJsonObject(value) || typeof name !== 'string') return null
    definitions.push({ kind: shape.kind, name, value })
  }
  return definitions
}

const SERVER_INFO = 'io.modelcontextprotocol/serverInfo'

/**
 * What the result of `initialize` or `server/discover` says of the server: its instructions, which models read, with or without
 * any, and its name where it gives one, which in the modern era it need not.
 */
export function serverDefinitions(result: JsonValue | undefined): readonly Definition[] {
  const said = isJsonObject(result) ? result : {}
  const meta = member(said, '_meta')
  const info = member(said, 'serverInfo') ?? (isJsonObject(meta) ? member(meta, SERVER_INFO) : undefined)
  const name = isJsonObject(info) ? member(info, 'name') : undefined
  const instructions = member(said, 'instructions')
  return [
    { kind: 'server', name: 'instructions', value: instructions === undefined ? {} : { instructions } },
    ...(name === undefined ? [] : [{ kind: 'server', name: 'name', value: { name } } as const]),
  ]
}

/** Hexadecimal SHA-256 over the kind and the canonical JSON (RFC 8785) of the item. */
export function definitionDigest({ kind, value }: Pick<Definition, 'kind' | 'value'>, sha256: Sha256): string {
  return hex(sha256(utf8(`${kind}\n${canonicalJson(value)}`)))
}

/** One digest over all of them, in whatever order they are given. */
export function definitionsDigest(definitions: readonly Definition[], sha256: Sha256): string {
  const lines = definitions.map((one) => `${one.kind} ${JSON.stringify(one.name)} ${definitionDigest(one, sha256)}\n`)
  return hex(sha256(utf8(lines.toSorted().join(''))))
}

/** Kind and name as one text; no two items of a server have the same. */
export function definitionKey({ kind, name }: Pick<Definition, 'kind' | 'name'>): string {
  return `${kind} ${name}`
}

export function isDefinitionKind(text: JsonValue | undefined): text is DefinitionKind {
  return definitionKinds.some((kind) => kind === text)
}
