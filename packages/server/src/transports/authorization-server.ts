/**
 * An authorization server of somebody else, as a client meets it: where it is (RFC 8414, OpenID Connect Discovery), codes and
 * refresh tokens for tokens (RFC 6749, RFC 7636, RFC 8707), and tokens taken back (RFC 7009). Addresses are judged as for
 * everything that is fetched.
 */

import { DoorwardError, isJsonObject, isText, member, scanJson, Secret } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { documentBytes, exchangeDocument } from './fetch-document.ts'
import type { DocumentAnswer, FetchOptions } from './fetch-document.ts'
import { basic } from './introspection-request.ts'

export interface AuthorizationServer {
  readonly issuer: string
  readonly authorization: URL
  readonly token: URL
  /** Null: it takes back nothing. */
  readonly revocation: URL | null
  /** The redirect says whom it is from (RFC 9207). */
  readonly namesIssuer: boolean
  /** How a client with a secret proves itself. */
  readonly auth: 'basic' | 'post'
}

export interface OAuthClient {
  readonly clientId: string
  /** Null for a public client. */
  readonly secret: Secret | null
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
}

const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const MAX_URL = 2048
const MAX_TOKEN = 16 * 1024
const MAX_SCOPE = 4096
const MAX_SECONDS = 10 * 365 * 86_400
const WORD = /^[a-z_]{1,64}$/
/** RFC 6750 §2.1: nothing else fits into the header. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/

/**
 * Asked for at the places of RFC 8414 §3.1 and OpenID Connect Discovery, in the order in which MCP has clients ask. Throws
 * `authorization_server_invalid` for a document of another issuer, without S256 or without https endpoints, and the codes of
 * `fetchDocument`.
 */
export async function findAuthorizationServer(issuer: string, access: FetchOptions): Promise<AuthorizationServer> {
  let last: DocumentAnswer | null = null
  let where = new URL(issuer)
  for (const place of metadataPlaces(issuer)) {
    where = place
    last = await exchangeDocument(place, { method: 'GET' }, access)
    if (last.status === 200) return serverOf(issuer, place, objectOf(last.body))
  }
  throw new DoorwardError('document_unavailable', 'a document cannot be fetched', {
    where: where.origin,
    got: `status ${last?.status ?? 0}`,
  })
}

function metadataPlaces(issuer: string): readonly URL[] {
  const url = new URL(issuer)
  const path = url.pathname.replace(/\/$/, '')
  const at = (text: string) => new URL(text, url.origin)
  const inserted = ['oauth-authorization-server', 'openid-configuration'].map((name) =>
    at(`/.well-known/${name}${path}`),
  )
  return path === '' ? inserted : [...inserted, at(`${path}/.well-known/openid-configuration`)]
}

function serverOf(issuer: string, where: URL, values: JsonObject | null): AuthorizationServer {
  const invalid = (expected: string, got: string) =>
    new DoorwardError('authorization_server_invalid', 'the authorization server cannot be used', {
      where: where.href,
      expected,
      got,
    })
  if (values === null || member(values, 'issuer') !== issuer)
    throw invalid(`issuer ${issuer}`, values === null ? 'no JSON object' : 'another issuer')
  const methods = member(values, 'code_challenge_methods_supported')
  if (!Array.isArray(methods) || !methods.includes('S256'))
    throw invalid('S256 among code_challenge_methods_supported', 'none')
  const authorization = endpoint(values, 'authorization_endpoint')
  const token = endpoint(values, 'token_endpoint')
  if (authorization === null || token === null)
    throw invalid('https URLs of authorization_endpoint and token_endpoint', 'others')
  const auths = member(values, 'token_endpoint_auth_methods_supported')
  const onlyPost =
    Array.isArray(auths) && !auths.includes('client_secret_basic') && auths.includes('client_secret_post')
  return {
    issuer,
    authorization,
    token,
    revocation: endpoint(values, 'revocation_endpoint'),
    namesIssuer: member(values, 'authorization_response_iss_parameter_supported') === true,
    auth: onlyPost ? 'post' : 'basic',
  }
}

function endpoint(values: JsonObject, name: string): URL | null {
  const text = member(values, name)
  const url = isText(text, MAX_URL) && URL.canParse(text) ? new URL(text) : null
  return url?.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '' ? url : null
}

export interface CodeGrant {
  readonly code: Secret
  readonly redirectUri: string
  readonly verifier: Secret
  readonly resource: string
}

/** Throws `grant_refused` with the server's word, `tokens_invalid`, and as `fetchDocument`. */
export function redeemGrant(server: AuthorizationServer, client: OAuthClient, grant: CodeGrant): Promise<IssuedTokens> {
  return tokensFor(server, client, {
    grant_type: 'authorization_code',
    code: grant.code.reveal(),
    redirect_uri: grant.redirectUri,
    code_verifier: grant.verifier.reveal(),
    resource: grant.resource,
  })
}

/** Throws as `redeemGrant`: `grant_refused` with `invalid_grant` when the person or the server has ended it. */
export function refreshGrant(
  server: AuthorizationServer,
  client: OAuthClient,
  grant: { readonly refresh: Secret; readonly resource: string },
): Promise<IssuedTokens> {
  const { refresh, resource } = grant
  return tokensFor(server, client, { grant_type: 'refresh_token', refresh_token: refresh.reveal(), resource })
}

/** RFC 7009. Throws `grant_refused` for anything but 200, and as `fetchDocument`. */
export async function takeBack(server: AuthorizationServer, client: OAuthClient, token: Secret): Promise<void> {
  if (server.revocation === null) return
  const answer = await post(server.revocation, { server, client }, { token: token.reveal() })
  if (answer.status !== 200) throw refused(server.revocation, answer)
}

async function tokensFor(
  server: AuthorizationServer,
  client: OAuthClient,
  parameters: Readonly<Record<string, string>>,
): Promise<IssuedTokens> {
  const answer = await post(server.token, { server, client }, parameters)
  if (answer.status !== 200) throw refused(server.token, answer)
  return tokensIn(server.token, objectOf(answer.body))
}

interface Asking {
  readonly server: Pick<AuthorizationServer, 'auth'>
  readonly client: OAuthClient
}

function post(
  url: URL,
  { server: { auth }, client: { clientId, secret, access } }: Asking,
  parameters: Readonly<Record<string, string>>,
): Promise<DocumentAnswer> {
  const form = new URLSearchParams(parameters)
  if (secret === null || auth === 'post') form.set('client_id', clientId)
  if (secret !== null && auth === 'post') form.set('client_secret', secret.reveal())
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    ...(secret !== null && auth === 'basic' ? { authorization: basic(clientId, secret.reveal()) } : {}),
  }
  return exchangeDocument(url, { method: 'POST', headers, body: form.toString() }, access)
}

function tokensIn(url: URL, values: JsonObject | null): IssuedTokens {
  const [access, refresh, type, expires, scope] = (
    ['access_token', 'refresh_token', 'token_type', 'expires_in', 'scope'] as const
  ).map((name) => member(values ?? {}, name))
  const fits = (token: typeof access): token is string => isText(token, MAX_TOKEN) && BEARER.test(token)
  if (!fits(access) || typeof type !== 'string' || type.toLowerCase() !== 'bearer')
    throw invalidTokens(url, 'an access_token of the type Bearer')
  if (refresh !== undefined && refresh !== null && !isText(refresh, MAX_TOKEN))
    throw invalidTokens(url, 'a refresh_token as text, or none')
  if (expires !== undefined && !(typeof expires === 'number' && expires >= 0 && expires <= MAX_SECONDS))
    throw invalidTokens(url, 'expires_in in seconds, or none')
  if (scope !== undefined && typeof scope !== 'string') throw invalidTokens(url, 'scope as text, or none')
  return {
    access: new Secret(access),
    refresh: typeof refresh === 'string' ? new Secret(refresh) : null,
    expiresInSeconds: typeof expires === 'number' ? Math.floor(expires) : null,
    scopes:
      typeof scope === 'string'
        ? scope
            .slice(0, MAX_SCOPE)
            .split(' ')
            .filter((one) => one !== '')
        : null,
  }
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
  return new DoorwardError('grant_refused', 'the authorization server refused', { where: url.origin, got: word })
}

function invalidTokens({ origin }: URL, expected: string): DoorwardError {
  return new DoorwardError('tokens_invalid', 'the authorization server gave an answer that cannot be used', {
    where: origin,
    expected,
  })
}

function objectOf(bytes: Uint8Array): JsonObject | null {
  const scan = scanJson(bytes, LIMITS)
  return scan.ok && isJsonObject(scan.value) ? scan.value : null
}
