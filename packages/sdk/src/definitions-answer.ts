/** What a gateway answers about the definitions of its servers, read strictly. */

import { isDefinitionKind, isJsonObject, scanJson } from '@doorward/core'
import type { Definition, Flag, FlagCode, FlaggedDefinition, JsonObject, JsonValue } from '@doorward/core'
import type { CallResponse } from './https-exchange.ts'
import { readBody } from './https-exchange.ts'
import { invalidAnswer } from './admin-workload.ts'

export interface DefinitionsAnswer {
  readonly server: string
  /** What counts now. */
  readonly approved: readonly Definition[]
  /** What the server says now. */
  readonly defined: readonly Definition[]
  /** Of `defined`, for whoever approves exactly that. */
  readonly digest: string
  /** Keys of what callers are shown in another form than the gateway. */
  readonly twofold: readonly string[]
  readonly flags: readonly FlaggedDefinition[]
}

export interface DefinitionsApproval {
  /** `<origin>#<index>` of the entry in the record. */
  readonly entry: string
  readonly digest: string
  readonly items: number
}

/** Tool schemas nest, and may have members of any name. */
const limits = { maxBytes: 16 * 1024 * 1024, maxDepth: 80, maxKeys: 500_000, prototypeKeys: 'keep' } as const

/** Throws `response_too_large`, `response_invalid`. */
export async function readDefinitionsBody(response: CallResponse): Promise<DefinitionsAnswer> {
  const scan = scanJson(await readBody(response, limits.maxBytes), limits)
  return readDefinitionsAnswer(objectOf(scan.ok ? scan.value : undefined))
}

function readDefinitionsAnswer(answer: JsonObject): DefinitionsAnswer {
  const { server, digest } = answer
  if (typeof server !== 'string' || typeof digest !== 'string') throw invalidAnswer('server and digest')
  return {
    server,
    digest,
    approved: listOf(answer['approved']).map((one) => definitionOf(one)),
    defined: listOf(answer['defined']).map((one) => definitionOf(one)),
    twofold: listOf(answer['twofold']).map((one) => textOf(one)),
    flags: listOf(answer['flags']).map((one) => flaggedOf(one)),
  }
}

export function readDefinitionsApproval({ entry, digest, items }: JsonObject): DefinitionsApproval {
  if (typeof items !== 'number') throw invalidAnswer('items')
  return { entry: textOf(entry), digest: textOf(digest), items }
}

function definitionOf(one: JsonValue): Definition {
  const { kind, name, value } = objectOf(one)
  if (!isDefinitionKind(kind)) throw invalidAnswer('definitions of a known kind')
  return { kind, name: textOf(name), value: objectOf(value) }
}

const codes: Readonly<Record<FlagCode, true>> = {
  invisible_characters: true,
  terminal_escape: true,
  html_comment: true,
  hidden_markup: true,
  orders_to_model: true,
  oversized: true,
  network_reference: true,
  other_server: true,
  same_name: true,
}

function flaggedOf(one: JsonValue): FlaggedDefinition {
  const { key, flags } = objectOf(one)
  return { key: textOf(key), flags: listOf(flags).map((flag) => flagOf(objectOf(flag))) }
}

function flagOf({ code, where, about }: JsonObject): Flag {
  if (typeof code !== 'string' || !isFlagCode(code)) throw invalidAnswer('flags of a known code')
  return { code, where: textOf(where), about: textOf(about) }
}

function isFlagCode(text: string): text is FlagCode {
  return Object.hasOwn(codes, text)
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  if (!Array.isArray(value)) throw invalidAnswer('a list')
  return value as readonly JsonValue[]
}

function objectOf(value: JsonValue | undefined): JsonObject {
  if (!isJsonObject(value)) throw invalidAnswer('an object')
  return value
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw invalidAnswer('texts')
  return value
}

/** How the servers of a gateway stand, each with its name. */
export function readServers({ servers }: JsonObject): readonly JsonObject[] {
  return listOf(servers).map((one) => objectOf(one))
}
