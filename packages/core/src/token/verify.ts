/** Whether a text is one of our access tokens, meant for here, for now and for the holder of this certificate. */

import { fromBase64url, utf8 } from '../bytes.ts'
import { exactObject } from '../identity/strict-members.ts'
import { scanJson } from '../json/scan.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject } from '../json-value.ts'
import type { EpochSeconds } from '../time.ts'
import { tokenLimits } from './claims.ts'
import type { AccessTokenClaims, TokenCode } from './claims.ts'
import { judgeClaims } from './judge-claims.ts'
import type { TokenExpectation } from './judge-claims.ts'
import type { TokenKeySet } from './key-set.ts'
import { readClaims } from './read-claims.ts'

export interface TokenCheck {
  readonly expect: TokenExpectation
  readonly keys: TokenKeySet
  readonly now: EpochSeconds
  /** For `exp`, `nbf` and `iat`; 30 by default. */
  readonly leewaySeconds?: number
}

export interface TokenRefusal {
  readonly ok: false
  readonly code: TokenCode
  /** For the operator. Holds no part of the token but its kid. */
  readonly message: string
}

export type TokenVerdict = { readonly ok: true; readonly claims: AccessTokenClaims } | TokenRefusal

const defaultLeewaySeconds = 30
const SIGNATURE_BYTES = 64
const HEADER_LIMITS = { maxBytes: 512, maxDepth: 2, maxKeys: 8 }
const PAYLOAD_LIMITS = { maxBytes: tokenLimits.bytes, maxDepth: tokenLimits.actDepth + 3, maxKeys: 64 }

/**
 * Verifies a compact JWS (RFC 7515 §7.1) as an access token: grammar, header, key, ES256 signature, claims, in this order.
 * The payload is not parsed before its signature holds. Never throws; codes are `TokenCode`.
 *
 * Not checked: denials of `jti` and identities, and that `client_id` is the identity in the certificate; the caller does both.
 */
export function verifyToken(text: string, check: TokenCheck): TokenVerdict {
  const jws = readCompact(text)
  if ('ok' in jws) return jws
  const kid = readHeader(jws.header)
  if (typeof kid !== 'string') return kid
  const key = check.keys.get(kid)
  if (key === undefined) return refuse('token_key_unknown', `no token key ${JSON.stringify(kid)}`)
  if (jws.signature.length !== SIGNATURE_BYTES || !key.verify(jws.signingInput, jws.signature)) {
    return refuse('token_signature', `not a signature by ${JSON.stringify(kid)}`)
  }
  const payload = scanJson(jws.payload, PAYLOAD_LIMITS)
  if (!payload.ok) return refuse('token_claims', `the payload is not strict JSON: ${payload.code}`)
  const claims = readClaims(payload.value)
  if (typeof claims === 'string') return refuse('token_claims', claims)
  const problem = judgeClaims(claims, check.expect, check.now, check.leewaySeconds ?? defaultLeewaySeconds)
  return problem === null ? { ok: true, claims } : refuse(problem.code, problem.message)
}

function refuse(code: TokenCode, message: string): TokenRefusal {
  return { ok: false, code, message }
}

/** The three parts of a compact JWS, decoded. */
export interface CompactJws {
  readonly header: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  /** ASCII of the first two parts and the dot between them. */
  readonly signingInput: Uint8Array
}

/** Splits and decodes: at most 4 KiB, three non-empty parts, canonical base64url (RFC 7515 §2). `token_malformed` or `token_too_large`. */
export function readCompact(text: string): CompactJws | TokenRefusal {
  if (text.length > tokenLimits.bytes) return refuse('token_too_large', `${text.length} characters, at most ${tokenLimits.bytes}`)
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (first <= 0 || second <= first + 1 || second === text.length - 1 || text.includes('.', second + 1)) {
    return refuse('token_malformed', 'expected three parts')
  }
  const header = fromBase64url(text.slice(0, first))
  const payload = fromBase64url(text.slice(first + 1, second))
  const signature = fromBase64url(text.slice(second + 1))
  if (header === null || payload === null || signature === null) {
    return refuse('token_malformed', 'expected base64url that re-encodes to itself')
  }
  return { header, payload, signature, signingInput: utf8(text.slice(0, second)) }
}

/** The kid of a header that is exactly `{alg: ES256, typ: at+jwt, kid}`. `token_algorithm`, `token_type`, `token_header` or `token_malformed`. */
function readHeader(bytes: Uint8Array): string | TokenRefusal {
  const scan = scanJson(bytes, HEADER_LIMITS)
  if (!scan.ok) return refuse('token_malformed', `the header is not strict JSON: ${scan.code}`)
  if (!isJsonObject(scan.value)) return refuse('token_malformed', 'the header is not an object')
  const header: JsonObject = scan.value
  if (member(header, 'alg') !== 'ES256') return refuse('token_algorithm', 'expected alg ES256')
  if (member(header, 'typ') !== 'at+jwt') return refuse('token_type', 'expected typ at+jwt')
  const kid = member(header, 'kid')
  if (exactObject(header, ['alg', 'typ', 'kid']) === null || typeof kid !== 'string' || kid === '' || kid.length > tokenLimits.idLength) {
    return refuse('token_header', 'expected alg, typ and kid and nothing else')
  }
  return kid
}
