/**
 * Tokens by which a platform says which of its workloads somebody is (RFC 7519): projected service-account tokens of
 * Kubernetes, identities of CI jobs. They come from issuers that are not ours, so the algorithm, the keys, the issuer
 * and the audience are what configuration says, and nothing in the token chooses any of them.
 */

import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { exactObject, isSeconds } from '../identity/strict-members.ts'
import type { EpochSeconds } from '../time.ts'
import { refuse } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'
import { readAlgorithm, readForeignJws } from './foreign-jws.ts'
import type { ForeignHeader, ForeignJws } from './foreign-jws.ts'

/** RFC 7518 §3.1, RFC 8037 §3.1. */
export const platformAlgorithms = ['RS256', 'ES256', 'EdDSA'] as const
export type PlatformAlgorithm = (typeof platformAlgorithms)[number]

export type PlatformToken = ForeignJws<ForeignHeader<PlatformAlgorithm>>

export interface PlatformExpectation {
  readonly issuer: string
  readonly audience: string
  readonly maxLifetimeSeconds: number
  readonly now: EpochSeconds
  /** For `exp`, `nbf` and `iat`; 30 by default. */
  readonly leewaySeconds?: number
}

const defaultLeewaySeconds = 30

/**
 * Reads a token of at most 8 KiB, unverified. The header has `alg`, `kid`, perhaps `typ: JWT` and a certificate's
 * thumbprint, which is not used; a header that brings or names keys is refused.
 * Codes: `token_too_large`, `token_malformed`, `token_algorithm`, `token_type`, `token_header`, `token_claims`.
 */
export function readPlatformToken(text: string): PlatformToken | TokenRefusal {
  return readForeignJws(text, readHeader)
}

function readHeader(header: JsonObject): ForeignHeader<PlatformAlgorithm> | TokenRefusal {
  const read = readAlgorithm(header, platformAlgorithms)
  if ('ok' in read) return read
  if ((member(header, 'typ') ?? 'JWT') !== 'JWT') return refuse('token_type', 'expected typ JWT, or none')
  if (exactObject(header, ['alg', 'kid'], ['typ', 'x5t']) === null)
    return refuse('token_header', 'expected alg and kid, and at most typ and x5t beside them')
  return read
}

/**
 * Null when the claims of an opened token hold here and now: issuer and the single audience exactly, `exp`, `nbf` and
 * `iat` present and in whole seconds, a life no longer than accepted.
 * Codes: `token_issuer`, `token_audience`, `token_claims`, `token_lifetime`, `token_expired`, `token_not_yet_valid`.
 * Not checked: whose token it is, and whether it was used before.
 */
export function judgePlatformClaims(claims: JsonObject, expected: PlatformExpectation): TokenRefusal | null {
  if (member(claims, 'iss') !== expected.issuer) return refuse('token_issuer', `expected issuer ${expected.issuer}`)
  if (onlyAudience(member(claims, 'aud')) !== expected.audience)
    return refuse('token_audience', `expected the audience ${expected.audience} and no other`)
  const [exp, nbf, iat] = ['exp', 'nbf', 'iat'].map((name) => member(claims, name))
  if (!isSeconds(exp) || !isSeconds(nbf) || !isSeconds(iat))
    return refuse('token_claims', 'expected exp, nbf and iat in whole seconds')
  const { now, maxLifetimeSeconds, leewaySeconds = defaultLeewaySeconds } = expected
  if (exp <= iat || exp - iat > maxLifetimeSeconds || nbf >= exp)
    return refuse('token_lifetime', `expected exp within ${maxLifetimeSeconds} s after iat and after nbf`)
  if (now >= exp + leewaySeconds) return refuse('token_expired', `exp was ${exp}`)
  if (now < nbf - leewaySeconds || now < iat - leewaySeconds)
    return refuse('token_not_yet_valid', `nbf is ${nbf}, iat is ${iat}`)
  return null
}

/** Some issuers write their one audience as a list. */
function onlyAudience(value: JsonValue | undefined): JsonValue | undefined {
  return Array.isArray(value) && value.length === 1 ? (value as readonly JsonValue[])[0] : value
}

/**
 * The claim of a name: a member of the claims, or, when the name starts with `/`, whatever the JSON Pointer leads to
 * (RFC 6901): `/kubernetes.io/namespace`. Lists are not entered. Undefined when there is none.
 */
export function claimAt(claims: JsonObject, name: string): JsonValue | undefined {
  if (!name.startsWith('/')) return member(claims, name)
  let value: JsonValue | undefined = claims
  for (const part of name.slice(1).split('/')) {
    if (!isJsonObject(value)) return undefined
    value = member(value, part.replaceAll('~1', '/').replaceAll('~0', '~'))
  }
  return value
}
