/**
 * What a client asks at the endpoints of an authorization server: tokens for codes and refresh tokens (RFC 6749, RFC 7636), for
 * itself (RFC 6749 §4.4), in exchange for others (RFC 8693), each for a resource (RFC 8707), and tokens taken back (RFC 7009).
 */

import { DoorwardError, isJsonObject, isText, member, scanJson, Secret } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import type { AuthorizationServer } from './authorization-server.ts'
import { documentBytes, exchangeDocument } from './fetch-document.ts'
import type { DocumentAnswer, FetchOptions } from './fetch-document.ts'

/** How a client proves itself: fields of the form, headers, or both. */
export interface ClientProof {
  readonly form: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

export interface OAuthClient {
  readonly clientId: string
  readonly proof: ClientProof
  readonly access: FetchOptions
}

export interface IssuedTokens {
  readonly access: Secret
  /** Null where none came: on a refresh the one before goes on. */
  readonly refresh: Secret | null
  /** Null where the server does not say. */
  readonly expiresInSeconds: number | null
  /** Null where they are those that were asked for. */
  readonly scopes: readonly string[] | null
  /** What an exchange has yielded (RFC 8693 §2.2.1); null where the server does not say. */
  readonly issuedType: string | null
}

const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const MAX_TOKEN = 16 * 1024
const MAX_SCOPE = 4096
const MAX_SECONDS = 10 * 365 * 86_400
const WORD = /^[a-z_]{1,64}$/
/** RFC 6750 §2.1: nothing else fits into the header. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/

/**
 * Tokens of the type Bearer. Throws `token_refused` with the server's own word for it, `token_answer_invalid`, and as
 * `fetchDocument`. What the server says in words is not repeated.
 */
export async function requestTokens(
  url: URL,
  { proof, access }: Pick<OAuthClient, 'proof' | 'access'>,
  form: Readonly<Record<string, string>>,
): Promise<IssuedTokens> {
  const answer = await post(url, { proof, access }, form)
  if (answer.status !== 200) throw refused(url, answer)
  return tokensIn(url, objectOf(answer.body) ?? {})
}

export interface CodeGrant {
  readonly code: Secret
  readonly redirectUri: string
  readonly verifier: Secret
  readonly resource: string
}

/** Throws as `requestTokens`. */
export function redeemGrant(
  { token }: Pick<AuthorizationServer, 'token'>,
  client: OAuthClient,
  grant: CodeGrant,
): Promise<IssuedTokens> {
  return requestTokens(token, client, {
    grant_type: 'authorization_code',
    code: grant.code.reveal(),
    redirect_uri: grant.redirectUri,
    code_verifier: grant.verifier.reveal(),
    resource: grant.resource,
  })
}

/** Throws as `requestTokens`: `token_refused` with `invalid_grant` when the person or the server has ended it. */
export function refreshGrant(
  { token }: Pick<AuthorizationServer, 'token'>,
  client: OAuthClient,
  grant: { readonly refresh: Secret; readonly resource: string },
): Promise<IssuedTokens> {
  const { refresh, resource } = grant
  return requestTokens(token, client, { grant_type: 'refresh_token', refresh_token: refresh.reveal(), resource })
}

/** RFC 7009. Throws `token_refused` for anything but 200, and as `fetchDocument`. */
export async function takeBack(
  server: Pick<AuthorizationServer, 'revocation'>,
  client: Pick<OAuthClient, 'proof' | 'access'>,
  token: Secret,
): Promise<void> {
  if (server.revocation === null) return
  const answer = await post(server.revocation, client, { token: token.reveal() })
  if (answer.status !== 200) throw refused(server.revocation, answer)
}

function post(
  url: URL,
  { proof, access }: Pick<OAuthClient, 'proof' | 'access'>,
  form: Readonly<Record<string, string>>,
): Promise<DocumentAnswer> {
  const body = new URLSearchParams({ ...form, ...proof.form }).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...proof.headers }
  return exchangeDocument(url, { method: 'POST', headers, body }, access)
}

function tokensIn(url: URL, values: JsonObject): IssuedTokens {
  const [access, refresh, type, expires, scope, issued] = (
    ['access_token', 'refresh_token', 'token_type', 'expires_in', 'scope', 'issued_token_type'] as const
  ).map((name) => member(values, name))
  const fits = (token: typeof access): token is string => isText(token, MAX_TOKEN) && BEARER.test(token)
  if (!fits(access) || typeof type !== 'string' || type.toLowerCase() !== 'bearer')
    throw invalid(url, 'an access_token of the type Bearer')
  if (refresh !== undefined && refresh !== null && !isText(refresh, MAX_TOKEN))
    throw invalid(url, 'a refresh_token as text, or none')
  if (scope !== undefined && typeof scope !== 'string') throw invalid(url, 'scope as text, or none')
  return {
    access: new Secret(access),
    refresh: typeof refresh === 'string' ? new Secret(refresh) : null,
    expiresInSeconds: secondsIn(url, expires),
    scopes: scope === undefined ? null : wordsOf(scope.slice(0, MAX_SCOPE)),
    issuedType: typeof issued === 'string' ? issued : null,
  }
}

/** Some servers write the number as text. */
function secondsIn(url: URL, expires: JsonValue | undefined): number | null {
  if (expires === undefined) return null
  const seconds = typeof expires === 'string' && /^\d{1,9}$/.test(expires) ? Number(expires) : expires
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= MAX_SECONDS))
    throw invalid(url, 'expires_in in seconds, or none')
  return Math.floor(seconds)
}

/** Scopes as they stand in one text. */
export function wordsOf(scope: string): readonly string[] {
  return scope.split(' ').filter((one) => one !== '')
}

/** Its one word (RFC 6749 §5.2); what it writes beside is not shown. */
function refused(url: URL, { status, body }: DocumentAnswer): DoorwardError {
  const error = member(objectOf(body) ?? {}, 'error')
  const word = typeof error === 'string' && WORD.test(error) ? error : null
  if (word === null || status >= 500)
    return new DoorwardError('document_unavailable', 'a document cannot be fetched', {
      where: url.origin,
      got: `status ${status}`,
    })
  return new DoorwardError('token_refused', 'the authorization server refused', { where: url.origin, got: word })
}

function invalid({ origin }: URL, expected: string): DoorwardError {
  return new DoorwardError('token_answer_invalid', 'the authorization server gave an answer that cannot be used', {
    where: origin,
    expected,
  })
}

function objectOf(bytes: Uint8Array): JsonObject | null {
  const scan = scanJson(bytes, LIMITS)
  return scan.ok && isJsonObject(scan.value) ? scan.value : null
}
