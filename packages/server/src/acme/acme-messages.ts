/** Objects of ACME as the authority answers them (RFC 8555 §7.1): read once, strictly, and only what is needed. */

import { fromBase64, fromUtf8, isJsonObject, member, scanJson } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { shown, unfit } from './acme-problem.ts'

const LIMITS = { maxBytes: 65_536, maxDepth: 8, maxKeys: 1000 }
const MAX_URL = 2048
const MAX_AUTHORIZATIONS = 8
const MAX_CERTIFICATES = 10

export interface Directory {
  readonly newNonce: string
  readonly newAccount: string
  readonly newOrder: string
  readonly terms: string | null
}

export interface Order {
  readonly status: string
  readonly authorizations: readonly string[]
  readonly finalize: string
  readonly certificate: string | null
  readonly problem: Problem | null
}

export interface Authorization {
  readonly status: string
  readonly name: string
  readonly challenges: readonly Challenge[]
}

export interface Challenge {
  readonly type: string
  readonly url: string
  readonly token: string
  readonly problem: Problem | null
}

export interface Problem {
  readonly type: string
  readonly detail: string
}

/** Throws `acme_answer`, as all here. */
export function readObject(where: string, body: Uint8Array): JsonObject {
  const scan = scanJson(body, LIMITS)
  if (!scan.ok || !isJsonObject(scan.value)) throw unfit(where, 'a JSON object', scan.ok ? 'another value' : scan.code)
  return scan.value
}

export function readDirectory(where: string, object: JsonObject): Directory {
  const meta = member(object, 'meta')
  const terms = isJsonObject(meta) ? member(meta, 'termsOfService') : undefined
  return {
    newNonce: urlOf(where, object, 'newNonce'),
    newAccount: urlOf(where, object, 'newAccount'),
    newOrder: urlOf(where, object, 'newOrder'),
    terms: typeof terms === 'string' ? shown(terms) : null,
  }
}

export function readOrder(where: string, object: JsonObject): Order {
  const authorizations = member(object, 'authorizations')
  if (!Array.isArray(authorizations) || authorizations.length > MAX_AUTHORIZATIONS)
    throw unfit(where, `at most ${MAX_AUTHORIZATIONS} authorizations`, 'another value')
  return {
    status: textOf(where, object, 'status'),
    authorizations: authorizations.map((url: JsonValue) => asUrl(where, 'authorizations', url)),
    finalize: urlOf(where, object, 'finalize'),
    certificate: member(object, 'certificate') === undefined ? null : urlOf(where, object, 'certificate'),
    problem: problemOf(member(object, 'error')),
  }
}

export function readAuthorization(where: string, object: JsonObject): Authorization {
  const identifier = member(object, 'identifier')
  if (!isJsonObject(identifier) || member(identifier, 'type') !== 'dns') throw unfit(where, 'a DNS name', 'none')
  const challenges = member(object, 'challenges')
  if (!Array.isArray(challenges)) throw unfit(where, 'challenges', 'none')
  return {
    status: textOf(where, object, 'status'),
    name: textOf(where, identifier, 'value'),
    challenges: challenges.filter(isJsonObject).flatMap((one) => challengeOf(where, one)),
  }
}

/** RFC 8555 §8.3: at least 128 bits, base64url. */
const TOKEN = /^[\w-]{22,256}$/

/** Those of a kind that we do not know may look as they like. */
function challengeOf(where: string, object: JsonObject): readonly Challenge[] {
  if (member(object, 'type') !== alpnChallenge) return []
  const token = textOf(where, object, 'token')
  if (!TOKEN.test(token)) throw unfit(where, 'a token of at least 22 characters of base64url', token)
  return [{ type: alpnChallenge, url: urlOf(where, object, 'url'), token, problem: problemOf(member(object, 'error')) }]
}

export const alpnChallenge = 'tls-alpn-01'

/** What an object says of why; null where it is none. */
export function problemOf(value: JsonValue | undefined): Problem | null {
  if (!isJsonObject(value)) return null
  const [type, detail] = [member(value, 'type'), member(value, 'detail')]
  const kind = typeof type === 'string' ? /^urn:ietf:params:acme:error:([A-Za-z]{1,64})$/.exec(type)?.[1] : undefined
  return { type: kind ?? 'unknown', detail: typeof detail === 'string' ? shown(detail) : '' }
}

/** A chain of PEM certificates, leaf first (RFC 8555 §9.1), as DER. Nothing else may stand between them. */
export function readChain(where: string, body: Uint8Array): readonly Uint8Array[] {
  let text: string
  try {
    text = fromUtf8(body)
  } catch {
    throw unfit(where, 'certificates in PEM', 'other bytes')
  }
  const chain: Uint8Array[] = []
  const rest = text.replaceAll(CERTIFICATE, (_all, base64: string) => {
    const der = fromBase64(base64.replaceAll(/\s/g, ''))
    if (der !== null) chain.push(der)
    return der === null ? 'x' : ''
  })
  if (rest.trim() !== '' || chain.length === 0 || chain.length > MAX_CERTIFICATES)
    throw unfit(where, `1 to ${MAX_CERTIFICATES} certificates in PEM and nothing else`, `${chain.length} of them`)
  return chain
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----/g

function textOf(where: string, object: JsonObject, key: string): string {
  const value = member(object, key)
  if (typeof value !== 'string' || value === '' || value.length > MAX_URL) throw unfit(where, `a text ${key}`, 'none')
  return value
}

function urlOf(where: string, object: JsonObject, key: string): string {
  return asUrl(where, key, member(object, key))
}

/** Whether it may be asked is judged where it is fetched, by its address; here by its form. */
export function asUrl(where: string, key: string, value: JsonValue | undefined): string {
  if (typeof value === 'string' && value.length <= MAX_URL && URL.canParse(value)) {
    const { protocol, username, password } = new URL(value)
    if (protocol === 'https:' && username === '' && password === '') return value
  }
  throw unfit(where, `an https URL as ${key}`, typeof value === 'string' ? value : 'none')
}
