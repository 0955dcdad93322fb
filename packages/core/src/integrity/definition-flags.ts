/** What an operator should see before approving a definition. */

import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { definitionKey } from './definition.ts'
import type { Definition } from './definition.ts'
import { textFlags } from './text-flags.ts'
import type { TextFlag } from './text-flags.ts'

export type FlagCode = TextFlag | 'oversized' | 'network_reference' | 'other_server' | 'same_name'

export interface Flag {
  readonly code: FlagCode
  /** Path of members to what is flagged, with dots; `[i]` for items of lists. */
  readonly where: string
  /** What it refers to, such as a server; empty otherwise. */
  readonly about: string
}

/** What else is configured: names of servers, and of the tools that are approved there. */
export interface OtherServer {
  readonly server: string
  readonly tools: readonly string[]
}

/** Nobody reads more of a description. */
const MAX_TEXT = 4096
const MAX_FLAGS = 64
const MAX_WHERE = 1024
const MAX_DEPTH = 64
/** Characters of a text in which names are looked for. */
const MAX_WORDS = 65_536
/** Shorter names are words. */
const LEAST_NAME = 5

/** Servers by the tools that they have. */
type ByTool = ReadonlyMap<string, readonly string[]>

function byTool(others: readonly OtherServer[]): ByTool {
  const servers = new Map<string, string[]>()
  for (const { server, tools } of others)
    for (const tool of tools) {
      const known = servers.get(tool)
      if (known === undefined) servers.set(tool, [server])
      else known.push(server)
    }
  return servers
}

/** In the order of the definition; at most 64. */
export function definitionFlags(definition: Definition, others: readonly OtherServer[] = []): readonly Flag[] {
  return flagsOf(definition, byTool(others))
}

function flagsOf(definition: Definition, others: ByTool): readonly Flag[] {
  const flags: Flag[] = []
  const add = (flag: Flag): void => {
    if (flags.length < MAX_FLAGS) flags.push({ ...flag, where: flag.where.slice(0, MAX_WHERE) })
  }
  walk(definition.value, { where: '', key: '', depth: 0 }, (text, where, key) => {
    for (const code of textFlags(text)) add({ code, where, about: '' })
    if (text.length > MAX_TEXT) add({ code: 'oversized', where, about: `${text.length} characters` })
    if (key === '$ref' || key === '$dynamicRef') {
      if (!text.startsWith('#')) add({ code: 'network_reference', where, about: text.slice(0, 128) })
    } else for (const about of mentions(text, definition, others)) add({ code: 'other_server', where, about })
  })
  if (definition.kind === 'tool')
    for (const about of others.get(definition.name) ?? []) add({ code: 'same_name', where: 'name', about })
  return flags
}

type Look = (text: string, where: string, key: string) => void

interface Place {
  /** Looked into only for what is flagged: a server may give it a name of any length, and have it end in many texts. */
  readonly where: string
  /** The member that it stands under; empty within a list. */
  readonly key: string
  readonly depth: number
}

/** Every text and every name of a member. The depth is bounded by whoever has parsed it, and again here. */
function walk(value: JsonValue, { where, key, depth }: Place, look: Look): void {
  if (typeof value === 'string') return look(value, where, key)
  if (depth >= MAX_DEPTH) return
  if (Array.isArray(value)) {
    for (const [index, item] of (value as readonly JsonValue[]).entries())
      walk(item, { where: `${where}[${index}]`, key: '', depth: depth + 1 }, look)
    return
  }
  if (!isJsonObject(value)) return
  for (const [name, inner] of Object.entries(value)) {
    const path = where === '' ? name : `${where}.${name}`
    look(name, `${path} (its name)`, '')
    walk(inner, { where: path, key: name, depth: depth + 1 }, look)
  }
}

/** Names of other servers' tools, as whole words. */
function mentions(text: string, { kind, name }: Definition, others: ByTool): readonly string[] {
  if (others.size === 0 || text === name) return []
  const words = new Set(text.slice(0, MAX_WORDS).split(/[^A-Za-z0-9_-]+/))
  return Array.from(words).flatMap((word) => {
    const plain = word.length < LEAST_NAME || !/[_-]|[a-z][A-Z]/.test(word)
    if (plain || (kind === 'tool' && word === name)) return []
    return (others.get(word) ?? []).map((server) => `${server}/${word}`)
  })
}

/** Grave enough that nobody approves it unseen. */
const grave: ReadonlySet<FlagCode> = new Set([
  'invisible_characters',
  'terminal_escape',
  'html_comment',
  'hidden_markup',
  'orders_to_model',
])

export function isGrave({ code }: Flag): boolean {
  return grave.has(code)
}

/** What a tool says of its own effect: a proposal, never trusted. Without a word it writes. */
export function proposedEffect(value: JsonObject): 'read' | 'write' {
  const hints = member(value, 'annotations')
  if (!isJsonObject(hints)) return 'write'
  return member(hints, 'readOnlyHint') === true && member(hints, 'destructiveHint') !== true ? 'read' : 'write'
}

export interface FlaggedDefinition {
  readonly key: string
  readonly flags: readonly Flag[]
}

/** Those that have something to be seen. */
export function flaggedDefinitions(
  definitions: readonly Definition[],
  others: readonly OtherServer[] = [],
): readonly FlaggedDefinition[] {
  const known = byTool(others)
  return definitions
    .map((one) => ({ key: definitionKey(one), flags: flagsOf(one, known) }))
    .filter(({ flags }) => flags.length > 0)
}
