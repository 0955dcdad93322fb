/** What an agent says of itself (its card), and what of that is shown to callers who reach it through us. */

import { isJsonObject, member } from '../json/object.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import type { A2aVersion } from './method.ts'

export interface AgentCard {
  /** As it was served, without its signatures. */
  readonly value: JsonObject
  /** Revisions that it says to speak over JSON-RPC, newest first. */
  readonly versions: readonly A2aVersion[]
  readonly signatures: readonly CardSignature[]
}

/** A JWS without its payload (RFC 7515 §7.2.2, A2A 1.0 §8.4). */
export interface CardSignature {
  /** Base64url of the protected header. */
  readonly protected: string
  /** Base64url. */
  readonly signature: string
}

export interface CardProblem {
  readonly problem: string
}

/** Where agents show their card (A2A 1.0 §8.2, RFC 8615). */
export const cardPath = '/.well-known/agent-card.json'

const LIMITS = { maxBytes: 256 * 1024, maxDepth: 16, maxKeys: 4096 }
const MAX_NAME = 1024
const MAX_SIGNATURES = 8
const MAX_PROTECTED = 4096

/** As `readAgentCard`, of the text of a card: strict JSON of at most 256 KiB. */
export function parseAgentCard(bytes: Uint8Array): AgentCard | CardProblem {
  const scan = scanJson(bytes, LIMITS)
  return scan.ok ? readAgentCard(scan.value) : { problem: `no strict JSON: ${scan.code}` }
}

/**
 * Reads a card of either revision. A card is of no use, and a problem, when it is not one, offers nothing over JSON-RPC in a
 * revision that we know, or demands an extension: what extensions mean is nothing that we could decide about.
 */
export function readAgentCard(value: JsonValue): AgentCard | CardProblem {
  if (!isJsonObject(value)) return { problem: 'expected a JSON object' }
  const name = member(value, 'name')
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME)
    return { problem: 'expected a name of 1 to 1024 characters' }
  const { signatures: signed, ...rest } = value
  const signatures = readSignatures(signed)
  if (signatures === null) return { problem: `expected at most ${MAX_SIGNATURES} signatures as JWS` }
  const versions = (['1.0', '0.3'] as const).filter((version) => speaks(value, version))
  if (versions.length === 0) return { problem: 'expected JSON-RPC of A2A 1.0 or 0.3' }
  const capabilities = member(value, 'capabilities')
  const extensions = isJsonObject(capabilities) ? member(capabilities, 'extensions') : undefined
  if (objectsIn(extensions).some((one) => member(one, 'required') === true))
    return { problem: 'it demands an extension, and none is passed on' }
  return { value: rest, versions, signatures }
}

function speaks(card: JsonObject, version: A2aVersion): boolean {
  const listed = objectsIn(member(card, 'supportedInterfaces')).some(
    (one) => member(one, 'protocolBinding') === 'JSONRPC' && isVersion(member(one, 'protocolVersion'), version),
  )
  if (listed || version !== '0.3') return listed
  // 0.3: JSON-RPC is what the card means without a word (§5.5.5).
  const others = objectsIn(member(card, 'additionalInterfaces'))
  const transports = [member(card, 'preferredTransport') ?? 'JSONRPC', ...others.map((one) => member(one, 'transport'))]
  return (
    typeof member(card, 'url') === 'string' &&
    isVersion(member(card, 'protocolVersion') ?? '0.3', version) &&
    transports.includes('JSONRPC')
  )
}

function isVersion(text: JsonValue | undefined, version: A2aVersion): boolean {
  return typeof text === 'string' && (text === version || text.startsWith(`${version}.`))
}

function objectsIn(list: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter((one) => isJsonObject(one)) : []
}

function readSignatures(value: JsonValue | undefined): readonly CardSignature[] | null {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || value.length > MAX_SIGNATURES) return null
  const read: CardSignature[] = []
  for (const one of value as readonly JsonValue[]) {
    const head = isJsonObject(one) ? member(one, 'protected') : undefined
    const signature = isJsonObject(one) ? member(one, 'signature') : undefined
    if (!isBase64url(head) || !isBase64url(signature)) return null
    read.push({ protected: head, signature })
  }
  return read
}

function isBase64url(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && value.length <= MAX_PROTECTED && /^[\w-]+$/.test(value)
}

/**
 * What signatures may be over, before it is written canonically: the card as it is served, and the card without what is empty,
 * which is what it is for a signer that knows Protocol Buffers (A2A 1.0 §8.4.1). Both say the same.
 */
export function signedForms({ value }: AgentCard): readonly JsonValue[] {
  return [value, withoutEmpty(value) ?? {}]
}

function withoutEmpty(value: JsonValue): JsonValue | undefined {
  if (value === null || value === '') return undefined
  if (Array.isArray(value)) {
    const items = (value as readonly JsonValue[]).flatMap((one) => withoutEmpty(one) ?? [])
    return items.length === 0 ? undefined : items
  }
  if (!isJsonObject(value)) return value
  const members = Object.entries(value).flatMap(([key, one]): [string, JsonValue][] => {
    const kept = withoutEmpty(one)
    return kept === undefined ? [] : [[key, kept]]
  })
  return members.length === 0 ? undefined : Object.fromEntries(members)
}

/** What is said to people and models; where it is and how one gets in are ours to say. */
const SAID = [
  'name',
  'description',
  'version',
  'provider',
  'iconUrl',
  'documentationUrl',
  'defaultInputModes',
  'defaultOutputModes',
] as const
const OF_SKILLS = ['id', 'name', 'description', 'tags', 'examples', 'inputModes', 'outputModes'] as const

/** The card for callers: at our URL, by our ways to get in, and with no capability that does not pass. */
export function shownCard({ value, versions }: AgentCard, url: string): JsonObject {
  const capabilities = member(value, 'capabilities')
  const streaming = isJsonObject(capabilities) && member(capabilities, 'streaming') === true
  const skills = objectsIn(member(value, 'skills')).map((skill) => picked(skill, OF_SKILLS))
  const interfaces = versions.map((protocolVersion) => ({ url, protocolBinding: 'JSONRPC', protocolVersion }))
  const modern = versions.includes('1.0')
  const legacy = { protocolVersion: '0.3.0', url, preferredTransport: 'JSONRPC' }
  return {
    ...picked(value, SAID),
    supportedInterfaces: interfaces,
    ...(versions.includes('0.3') ? legacy : {}),
    capabilities: { streaming, pushNotifications: false },
    ...(modern ? MODERN_ENTRY : LEGACY_ENTRY),
    skills,
  }
}

/** Mutual TLS and a token bound to its certificate, both of them. */
const MODERN_ENTRY = {
  securitySchemes: {
    certificate: { mtlsSecurityScheme: { description: 'X.509-SVID of this trust domain' } },
    token: { httpAuthSecurityScheme: { scheme: 'Bearer', bearerFormat: 'JWT' } },
  },
  securityRequirements: [{ schemes: { certificate: { list: [] }, token: { list: [] } } }],
}
const LEGACY_ENTRY = {
  securitySchemes: {
    certificate: { type: 'mutualTLS' },
    token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
  },
  security: [{ certificate: [], token: [] }],
}

function picked(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(
    names.flatMap((name): [string, JsonValue][] => {
      const value = member(object, name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
