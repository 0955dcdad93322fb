/** Whether well-formed claims hold here and now. */

import type { EpochSeconds } from '../time.ts'
import { partiesProblem } from './act-chain.ts'
import { epochClaim, tokenLimits } from './claims.ts'
import type { AccessTokenClaims, TokenCode } from './claims.ts'
import { boundToCertificate } from './proof-of-possession.ts'

/** What holds of a token wherever it is. */
export interface SubjectExpectation {
  readonly issuer: string
  readonly trustDomain: string
  /** The current trust epoch; tokens of an earlier one are refused (RV-6). */
  readonly epoch: number
}

export interface TokenExpectation extends SubjectExpectation {
  readonly audience: string
  /** SHA-256 of the presenter's DER certificate, base64url. */
  readonly certificateFingerprint: string
}

export interface ClaimProblem {
  readonly code: TokenCode
  readonly message: string
}

/** The first thing wrong with the claims, or null. */
export function judgeClaims(
  claims: AccessTokenClaims,
  expect: TokenExpectation,
  now: EpochSeconds,
  leewaySeconds: number,
): ClaimProblem | null {
  return (
    issuerProblem(claims, expect) ??
    audienceProblem(claims, expect) ??
    timeProblem(claims, now, leewaySeconds) ??
    subjectProblem(claims, expect) ??
    (boundToCertificate(claims.cnf, expect.certificateFingerprint)
      ? null
      : problem('token_binding', 'expected a token bound to the certificate of this connection')) ??
    epochProblem(claims, expect)
  )
}

/** The same of a token that somebody else was given, without audience and binding. What has ended makes no other: no leeway for that. */
export function judgeSubjectClaims(
  claims: AccessTokenClaims,
  expect: SubjectExpectation,
  now: EpochSeconds,
  leewaySeconds: number,
): ClaimProblem | null {
  return (
    issuerProblem(claims, expect) ??
    (now < claims.exp ? null : problem('token_expired', `exp was ${claims.exp}`)) ??
    timeProblem(claims, now, leewaySeconds) ??
    subjectProblem(claims, expect) ??
    epochProblem(claims, expect)
  )
}

function issuerProblem(claims: AccessTokenClaims, expect: SubjectExpectation): ClaimProblem | null {
  if (claims.iss !== expect.issuer) return problem('token_issuer', `expected issuer ${expect.issuer}`)
  return null
}

function audienceProblem(claims: AccessTokenClaims, expect: TokenExpectation): ClaimProblem | null {
  if (claims.aud !== expect.audience) return problem('token_audience', `expected audience ${expect.audience}`)
  return null
}

function subjectProblem(claims: AccessTokenClaims, { trustDomain }: SubjectExpectation): ClaimProblem | null {
  const wrong = partiesProblem(claims, trustDomain)
  return wrong === null ? null : problem('token_subject', wrong)
}

function epochProblem(claims: AccessTokenClaims, expect: SubjectExpectation): ClaimProblem | null {
  return claims[epochClaim] >= expect.epoch ? null : problem('token_epoch', `expected epoch ${expect.epoch} or later`)
}

function timeProblem({ iat, nbf, exp }: AccessTokenClaims, now: EpochSeconds, leeway: number): ClaimProblem | null {
  const lifetime = exp - iat
  if (lifetime <= 0 || lifetime > tokenLimits.lifetimeSeconds || nbf >= exp) {
    return problem('token_lifetime', `expected exp within ${tokenLimits.lifetimeSeconds} s after iat and after nbf`)
  }
  if (now >= exp + leeway) return problem('token_expired', `exp was ${exp}`)
  if (now < nbf - leeway || now < iat - leeway) return problem('token_not_yet_valid', `nbf is ${nbf}, iat is ${iat}`)
  return null
}

function problem(code: TokenCode, message: string): ClaimProblem {
  return { code, message }
}
