/** Whether well-formed claims hold here and now. */

import { userName } from '../identity/principal.ts'
import { readSpiffeId } from '../identity/spiffe-id.ts'
import type { EpochSeconds } from '../time.ts'
import { epochClaim, tokenLimits, userClaim } from './claims.ts'
import type { AccessTokenClaims, ActClaim, TokenCode } from './claims.ts'
import { boundToCertificate } from './proof-of-possession.ts'

export interface TokenExpectation {
  readonly issuer: string
  readonly audience: string
  readonly trustDomain: string
  /** SHA-256 of the presenter's DER certificate, base64url. */
  readonly certificateFingerprint: string
  /** The current trust epoch; tokens of an earlier one are refused (RV-6). */
  readonly epoch: number
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
  if (claims.iss !== expect.issuer) return problem('token_issuer', `expected issuer ${expect.issuer}`)
  if (claims.aud !== expect.audience) return problem('token_audience', `expected audience ${expect.audience}`)
  return (
    timeProblem(claims, now, leewaySeconds) ??
    subjectProblem(claims, expect.trustDomain) ??
    (boundToCertificate(claims.cnf, expect.certificateFingerprint)
      ? null
      : problem('token_binding', 'expected a token bound to the certificate of this connection')) ??
    (claims[epochClaim] >= expect.epoch ? null : problem('token_epoch', `expected epoch ${expect.epoch} or later`))
  )
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

/** Subject, presenter and every actor are of the trust domain, and the presenter is the subject or its current actor (DX-5). */
function subjectProblem(claims: AccessTokenClaims, trustDomain: string): ClaimProblem | null {
  const user = claims[userClaim]
  if (user !== undefined && claims.sub !== userName(user))
    return problem('token_subject', 'expected sub to name the user')
  if (user !== undefined && (claims.act === undefined || claims.act.act !== undefined))
    return problem('token_subject', 'expected one actor for a user')
  const workloads = user === undefined ? [claims.sub, claims.client_id] : [claims.client_id]
  for (const text of [...workloads, ...actors(claims.act)]) {
    const id = readSpiffeId(text)
    if ('problem' in id || id.trustDomain !== trustDomain || id.segments.length === 0) {
      return problem('token_subject', `expected workload ids of ${trustDomain}`)
    }
  }
  const presenter = claims.act?.sub ?? claims.sub
  return claims.client_id === presenter ? null : problem('token_subject', `expected client_id ${presenter}`)
}

function actors(act: ActClaim | undefined): readonly string[] {
  const out: string[] = []
  for (let at = act; at !== undefined; at = at.act) out.push(at.sub)
  return out
}

function problem(code: TokenCode, message: string): ClaimProblem {
  return { code, message }
}
