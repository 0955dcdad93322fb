/** What the front says of itself: its metadata (RFC 8414) and the keys by which its tokens are verified (RFC 7517). */

import type { JsonObject, TokenKey } from '@doorward/core'

export interface FrontDescription {
  readonly publicUrl: string
  readonly scopes: readonly string[]
  readonly resources: readonly string[]
  readonly proofAlgorithms: readonly string[]
  /** Clients are known by the URL of a document about them. */
  readonly cimd: boolean
}

export const frontPaths = {
  authorize: '/authorize',
  callback: '/callback',
  consent: '/consent',
  token: '/token',
  revoke: '/revoke',
  jwks: '/jwks',
} as const

/** Two names for one document: some clients look for that of OpenID Connect. It is no OpenID provider, and says so. */
export const metadataPaths: ReadonlySet<string> = new Set([
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
])

export function frontMetadata(front: FrontDescription): JsonObject {
  const { publicUrl, scopes, resources, proofAlgorithms, cimd } = front
  return {
    issuer: publicUrl,
    authorization_endpoint: `${publicUrl}${frontPaths.authorize}`,
    token_endpoint: `${publicUrl}${frontPaths.token}`,
    revocation_endpoint: `${publicUrl}${frontPaths.revoke}`,
    jwks_uri: `${publicUrl}${frontPaths.jwks}`,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint_auth_methods_supported: ['none'],
    code_challenge_methods_supported: ['S256'],
    scopes_supported: [...scopes],
    protected_resources: [...resources],
    dpop_signing_alg_values_supported: [...proofAlgorithms],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: cimd,
  }
}

/** Public halves of the token keys in force; a prepared one has signed nothing yet. */
export function frontKeys(keys: readonly TokenKey[]): JsonObject {
  const shown = keys.filter(({ state }) => state !== 'prepared')
  return { keys: shown.map(({ kid, jwk }) => ({ ...jwk, kid, use: 'sig', alg: 'ES256' })) }
}
