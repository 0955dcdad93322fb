/**
 * What an MCP server says about the tokens that it wants: its challenge and its metadata (RFC 9728), as MCP has clients ask for
 * them. What it says chooses among what configuration names, and never beyond it.
 */

import { DoorwardError, isJsonObject, isText, member, scanJson } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { documentBytes, exchangeDocument } from './fetch-document.ts'
import type { FetchOptions } from './fetch-document.ts'
import { wordsOf } from './token-request.ts'

export interface ProtectedResource {
  /** For the `resource` parameter (RFC 8707). */
  readonly resource: string
  /** What it asks for: those of its challenge, or those that its metadata lists. */
  readonly scopes: readonly string[]
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource'
const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const MAX_TEXT = 2048
const MAX_SCOPES = 64
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/

/**
 * Throws `resource_invalid` where the metadata is of another resource or does not name that authorization server, and the codes
 * of `fetchDocument`.
 */
export async function findProtectedResource(
  url: string,
  issuer: string,
  access: FetchOptions,
): Promise<ProtectedResource> {
  const challenge = await challengeOf(new URL(url), access)
  for (const place of placesOf(url, challenge)) {
    const answer = await exchangeDocument(place, { method: 'GET' }, access)
    if (answer.status === 200) return resourceOf({ url, issuer, place, challenge }, objectOf(answer.body))
  }
  throw new DoorwardError('document_unavailable', 'a document cannot be fetched', {
    where: new URL(url).origin,
    expected: 'metadata of the protected resource (RFC 9728)',
    got: 'none',
  })
}

interface Challenge {
  readonly metadata: URL | null
  readonly scopes: readonly string[] | null
}

/** Asked without any token, so that it is told what is wanted. */
async function challengeOf(url: URL, access: FetchOptions): Promise<Challenge> {
  const headers = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'ping' })
  const answer = await exchangeDocument(url, { method: 'POST', headers, body }, access)
  if (answer.status !== 401) return { metadata: null, scopes: null }
  const text = (answer.headers['www-authenticate'] ?? '').slice(0, MAX_TEXT * 2)
  const place = parameterIn(text, 'resource_metadata')
  const scope = parameterIn(text, 'scope')
  return {
    metadata: place !== null && URL.canParse(place) ? new URL(place) : null,
    scopes: scope === null ? null : scopesOf(wordsOf(scope)),
  }
}

/**
 * What a server asks for that has refused a token as too little (RFC 6750 §3.1); null where that is not what it says, or where it
 * does not say what would be enough.
 */
export function insufficientScopes(challenge: string): readonly string[] | null {
  const text = challenge.slice(0, MAX_TEXT * 2)
  const isIt = /(?:^|,)\s*bearer\s/i.test(text) && /[\s,]error="?insufficient_scope(?:["\s,]|$)/i.test(text)
  const scope = isIt ? parameterIn(text, 'scope') : null
  const scopes = scope === null ? [] : scopesOf(wordsOf(scope))
  return scopes.length === 0 ? null : scopes
}

function parameterIn(text: string, name: string): string | null {
  const [, value] = new RegExp(`(?:^|[\\s,])${name}="([^"\\\\]{1,2048})"`, 'i').exec(text) ?? []
  return value ?? null
}

function placesOf(url: string, { metadata }: Challenge): readonly URL[] {
  if (metadata !== null) return [metadata]
  const { origin, pathname } = new URL(url)
  const path = pathname.replace(/\/$/, '')
  const root = new URL(WELL_KNOWN, origin)
  return path === '' ? [root] : [new URL(`${WELL_KNOWN}${path}`, origin), root]
}

interface Found {
  readonly url: string
  readonly issuer: string
  readonly place: URL
  readonly challenge: Challenge
}

function resourceOf({ url, issuer, place, challenge }: Found, values: JsonObject | null): ProtectedResource {
  const invalid = (expected: string, got: string) =>
    new DoorwardError('resource_invalid', 'the server says something about its tokens that cannot be followed', {
      where: place.href.slice(0, MAX_TEXT),
      expected,
      got,
    })
  const resource = member(values ?? {}, 'resource')
  if (!isText(resource, MAX_TEXT) || !isOf(resource, url))
    throw invalid(
      `the resource ${url}, or one above it`,
      typeof resource === 'string' ? resource.slice(0, 200) : 'none',
    )
  const servers = member(values ?? {}, 'authorization_servers')
  if (!Array.isArray(servers) || !servers.includes(issuer))
    throw invalid(`${issuer} among authorization_servers`, 'others')
  const listed = member(values ?? {}, 'scopes_supported')
  return { resource, scopes: challenge.scopes ?? (Array.isArray(listed) ? scopesOf(listed) : []) }
}

/** Of the same origin, and a path that the server's is below: a token for somebody else's resource would be a gift. */
function isOf(resource: string, url: string): boolean {
  if (!URL.canParse(resource)) return false
  const [one, own] = [new URL(resource), new URL(url)]
  const path = one.pathname.replace(/\/$/, '')
  return (
    one.origin === own.origin &&
    one.hash === '' &&
    one.search === '' &&
    (own.pathname === one.pathname || own.pathname === path || own.pathname.startsWith(`${path}/`))
  )
}

function scopesOf(listed: readonly unknown[]): readonly string[] {
  return listed.filter((one): one is string => typeof one === 'string' && SCOPE.test(one)).slice(0, MAX_SCOPES)
}

function objectOf(bytes: Uint8Array): JsonObject | null {
  const scan = scanJson(bytes, LIMITS)
  return scan.ok && isJsonObject(scan.value) ? scan.value : null
}
