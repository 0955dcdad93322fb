/** Asks an authorization server for an access token (RFC 6749 §4.4 and §5, RFC 8693 §2.1, with RFC 8707), and finds out where to ask (RFC 8414, OpenID Connect Discovery). */

import { DoorwardError, isJsonObject, member, scanJson, Secret } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { documentBytes, exchangeDocument } from './fetch-document.ts'
import type { FetchOptions } from './fetch-document.ts'

const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const MAX_TOKEN = 16_384
const WORD = /^[a-z_]{1,64}$/
/** RFC 6750 §2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/
const DEFAULT_SECONDS = 60

export interface IssuedAccess {
  readonly token: Secret
  /** Seconds; 60 where the server does not say. */
  readonly expiresIn: number
}

/** How a client proves itself: fields of the form, headers, or both. */
export interface ClientProof {
  readonly form: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

/**
 * A token of the type Bearer. Throws `token_refused` with the server's own word for it, `token_answer_invalid`, and as
 * `fetchDocument`. What the server says in words is not repeated.
 */
export async function requestToken(
  url: URL,
  form: Readonly<Record<string, string>>,
  proof: ClientProof,
  access: FetchOptions,
): Promise<IssuedAccess> {
  const body = new URLSearchParams({ ...form, ...proof.form }).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...proof.headers }
  const answer = await exchangeDocument(url, { method: 'POST', headers, body }, access)
  const values = objectOf(answer.body) ?? {}
  if (answer.status !== 200) {
    const error = member(values, 'error')
    const word = typeof error === 'string' && WORD.test(error) ? error : `status ${answer.status}`
    throw new DoorwardError('token_refused', 'no token is given', { where: url.origin, got: word })
  }
  return issuedIn(url, values)
}

function issuedIn(url: URL, values: JsonObject): IssuedAccess {
  const [token, type, expires] = ['access_token', 'token_type', 'expires_in'].map((name) => member(values, name))
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') throw invalid(url, 'token_type Bearer')
  if (typeof token !== 'string' || token.length > MAX_TOKEN || !TOKEN.test(token)) throw invalid(url, 'access_token')
  const seconds = typeof expires === 'string' && /^\d{1,9}$/.test(expires) ? Number(expires) : expires
  if (seconds !== undefined && (typeof seconds !== 'number' || !(seconds > 0))) throw invalid(url, 'expires_in')
  return { token: new Secret(token), expiresIn: seconds ?? DEFAULT_SECONDS }
}

/** Throws `issuer_document_invalid`, and as `fetchDocument`. */
export async function tokenEndpointOf(issuer: string, access: FetchOptions): Promise<URL> {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
  for (const place of places) {
    const answer = await exchangeDocument(new URL(place), { method: 'GET' }, access)
    if (answer.status === 200) return endpointIn(issuer, objectOf(answer.body) ?? {})
  }
  throw documentInvalid(issuer, 'metadata of an authorization server', 'none')
}

function endpointIn(issuer: string, values: JsonObject): URL {
  if (member(values, 'issuer') !== issuer) throw documentInvalid(issuer, `issuer ${issuer}`, 'another one')
  const text = member(values, 'token_endpoint')
  const url = typeof text === 'string' && text.length <= 2048 && URL.canParse(text) ? new URL(text) : null
  if (url?.protocol === 'https:' && url.username === '' && url.hash === '') return url
  throw documentInvalid(issuer, 'an https URL as token_endpoint', 'something else')
}

function objectOf(body: Uint8Array): JsonObject | null {
  const scan = scanJson(body, LIMITS)
  return scan.ok && isJsonObject(scan.value) ? scan.value : null
}

function invalid({ origin }: URL, expected: string): DoorwardError {
  return new DoorwardError('token_answer_invalid', 'the answer with a token cannot be used', {
    where: origin,
    expected,
  })
}

function documentInvalid(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('issuer_document_invalid', 'the issuer does not say where tokens are given', {
    where,
    expected,
    got,
  })
}
