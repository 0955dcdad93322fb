/**
 * An authorization server of somebody else, as its metadata describe it to a client: RFC 8414, OpenID Connect Discovery.
 * Addresses are judged as for everything that is fetched.
 */

import { DoorwardError, isJsonObject, isText, member, scanJson } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { documentBytes, exchangeDocument } from './fetch-document.ts'
import type { DocumentAnswer, FetchOptions } from './fetch-document.ts'

/** Where tokens are given and taken back. */
export interface AuthorizationServer {
  readonly issuer: string
  readonly token: URL
  /** Null: it takes back nothing. */
  readonly revocation: URL | null
  /** How a client with a secret proves itself, where configuration does not say. */
  readonly auth: 'basic' | 'post'
}

/** One where people agree in a browser. */
export interface CodeServer extends AuthorizationServer {
  readonly authorization: URL
  /** The redirect says whom it is from (RFC 9207). */
  readonly namesIssuer: boolean
  /** A client may be the URL of a document about itself. */
  readonly clientDocuments: boolean
}

const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const MAX_URL = 2048

/**
 * Asked for at the places of RFC 8414 §3.1 and OpenID Connect Discovery, in the order in which MCP has clients ask. Throws
 * `authorization_server_invalid` for a document of another issuer or without https endpoints, and the codes of `fetchDocument`.
 */
export async function findAuthorizationServer(issuer: string, access: FetchOptions): Promise<AuthorizationServer> {
  return serverOf(await metadataOf(issuer, access))
}

/** The same, and it must know PKCE with S256. */
export async function findCodeServer(issuer: string, access: FetchOptions): Promise<CodeServer> {
  const metadata = await metadataOf(issuer, access)
  const { values } = metadata
  const methods = member(values, 'code_challenge_methods_supported')
  if (!Array.isArray(methods) || !methods.includes('S256'))
    throw invalid(metadata, 'S256 among code_challenge_methods_supported', 'none')
  return {
    ...serverOf(metadata),
    authorization: neededEndpoint(metadata, 'authorization_endpoint'),
    namesIssuer: member(values, 'authorization_response_iss_parameter_supported') === true,
    clientDocuments: member(values, 'client_id_metadata_document_supported') === true,
  }
}

interface Metadata {
  readonly issuer: string
  readonly where: URL
  readonly values: JsonObject
}

async function metadataOf(issuer: string, access: FetchOptions): Promise<Metadata> {
  let last: DocumentAnswer | null = null
  let where = new URL(issuer)
  for (const place of metadataPlaces(issuer)) {
    where = place
    last = await exchangeDocument(place, { method: 'GET' }, access)
    if (last.status !== 200) continue
    const values = objectOf(last.body)
    if (values === null || member(values, 'issuer') !== issuer)
      throw invalid({ where }, `issuer ${issuer}`, values === null ? 'no JSON object' : 'another issuer')
    return { issuer, where, values }
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

function serverOf(metadata: Metadata): AuthorizationServer {
  const auths = member(metadata.values, 'token_endpoint_auth_methods_supported')
  const onlyPost =
    Array.isArray(auths) && !auths.includes('client_secret_basic') && auths.includes('client_secret_post')
  return {
    issuer: metadata.issuer,
    token: neededEndpoint(metadata, 'token_endpoint'),
    revocation: endpoint(metadata.values, 'revocation_endpoint'),
    auth: onlyPost ? 'post' : 'basic',
  }
}

function neededEndpoint(metadata: Metadata, name: string): URL {
  const url = endpoint(metadata.values, name)
  if (url === null) throw invalid(metadata, `an https URL as ${name}`, 'none')
  return url
}

function endpoint(values: JsonObject, name: string): URL | null {
  const text = member(values, name)
  const url = isText(text, MAX_URL) && URL.canParse(text) ? new URL(text) : null
  return url?.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '' ? url : null
}

function invalid({ where }: Pick<Metadata, 'where'>, expected: string, got: string): DoorwardError {
  return new DoorwardError('authorization_server_invalid', 'the authorization server cannot be used', {
    where: where.href,
    expected,
    got,
  })
}

function objectOf(bytes: Uint8Array): JsonObject | null {
  const scan = scanJson(bytes, LIMITS)
  return scan.ok && isJsonObject(scan.value) ? scan.value : null
}
