/** One configured issuer, as plain values, and how its tokens are judged once somebody vouches for their claims. */

import { judgeIssuerClaims, mapIssuerClaims } from '@doorward/core'
import type { ClaimRules, EpochSeconds, IssuerAlgorithm, JsonObject } from '@doorward/core'
import type { IssuedToken, IssuedTokenRefusal } from '@doorward/enforcement'
import type { Introspection } from './introspection.ts'
import type { IssuerKeys } from './issuer-keys.ts'

export interface Issuer {
  /** In configuration. */
  readonly name: string
  /** `iss`, exactly. */
  readonly issuer: string
  /** What its tokens for us are for; null: the resource that is asked for. */
  readonly audience: string | null
  readonly otherAudiences: readonly string[]
  readonly algorithms: readonly IssuerAlgorithm[]
  /** Accepted `typ` of access tokens. */
  readonly types: readonly string[]
  readonly claims: ClaimRules
  readonly maxLifetimeSeconds: number
  readonly keys: Pick<IssuerKeys, 'find'>
  /** Of opaque tokens; null where it has none. */
  readonly introspection: Introspection | null
}

export function refused(code: IssuedTokenRefusal['code'], message: string): IssuedTokenRefusal {
  return { ok: false, code, message }
}

interface Asked {
  readonly audience: string
  readonly now: EpochSeconds
  /** Names the token where it has no `jti`. */
  readonly digest: string
}

/** What proven claims are worth to somebody who asks for this audience. */
export function issuedToken(
  claims: JsonObject,
  issuer: Issuer,
  { audience, now, digest }: Asked,
): IssuedToken | IssuedTokenRefusal {
  const { issuer: iss, otherAudiences, maxLifetimeSeconds } = issuer
  const expected = { issuer: iss, audience: issuer.audience ?? audience, otherAudiences, maxLifetimeSeconds, now }
  const problem = judgeIssuerClaims(claims, expected)
  if (problem !== null) return problem
  const mapped = mapIssuerClaims(claims, issuer.claims)
  return 'ok' in mapped ? mapped : { ...mapped, id: mapped.id ?? digest, own: null }
}
