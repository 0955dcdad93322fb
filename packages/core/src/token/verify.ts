/** Whether a text is one of our access tokens, meant for here, for now and for the holder of this certificate. */

import { scanJson } from '../json/scan.ts'
import type { EpochSeconds } from '../time.ts'
import { tokenLimits } from './claims.ts'
import type { AccessTokenClaims } from './claims.ts'
import { openCompactJws, refuse } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'
import { judgeClaims, judgeSubjectClaims } from './judge-claims.ts'
import type { SubjectExpectation, TokenExpectation } from './judge-claims.ts'
import type { TokenKeySet } from './key-set.ts'
import { readClaims } from './read-claims.ts'

export interface TokenCheck {
  readonly expect: TokenExpectation
  readonly keys: TokenKeySet
  readonly now: EpochSeconds
  /** For `exp`, `nbf` and `iat`; 30 by default. */
  readonly leewaySeconds?: number
}

export interface VerifiedToken {
  readonly ok: true
  readonly claims: AccessTokenClaims
  /** `kid` of the key that signed it. */
  readonly keyId: string
}

export type TokenVerdict = VerifiedToken | TokenRefusal

const defaultLeewaySeconds = 30
const PAYLOAD_LIMITS = { maxBytes: tokenLimits.bytes, maxDepth: tokenLimits.actDepth + 3, maxKeys: 64 }

/**
 * Verifies an access token: grammar, header, key, ES256 signature, then claims. The payload is not parsed before its signature holds.
 * Never throws; codes are `TokenCode`.
 *
 * Not checked: denials of `jti` and identities, and that `client_id` is the identity in the certificate; the caller does both.
 */
export function verifyToken(text: string, check: TokenCheck): TokenVerdict {
  const opened = openToken(text, check.keys)
  if (!opened.ok) return opened
  const problem = judgeClaims(opened.claims, check.expect, check.now, check.leewaySeconds ?? defaultLeewaySeconds)
  return problem === null ? opened : refuse(problem.code, problem.message)
}

export interface SubjectTokenCheck {
  readonly expect: SubjectExpectation
  readonly keys: TokenKeySet
  readonly now: EpochSeconds
}

/**
 * As `verifyToken`, of a token that its holder has shown to somebody, who shows it to us (RFC 8693 §2.1).
 *
 * Not checked: its audience, which must be of whoever shows it; its binding, which is its holder's; denials.
 */
export function verifySubjectToken(text: string, { expect, keys, now }: SubjectTokenCheck): TokenVerdict {
  const opened = openToken(text, keys)
  if (!opened.ok) return opened
  const problem = judgeSubjectClaims(opened.claims, expect, now, defaultLeewaySeconds)
  return problem === null ? opened : refuse(problem.code, problem.message)
}

/** Grammar, header, key, signature and shape. */
function openToken(text: string, keys: TokenKeySet): TokenVerdict {
  const signed = openCompactJws(text, { typ: 'at+jwt', keys })
  if ('ok' in signed) return signed
  const payload = scanJson(signed.payload, PAYLOAD_LIMITS)
  if (!payload.ok) return refuse('token_claims', `the payload is not strict JSON: ${payload.code}`)
  const claims = readClaims(payload.value)
  if (typeof claims === 'string') return refuse('token_claims', claims)
  return { ok: true, claims, keyId: signed.keyId }
}
