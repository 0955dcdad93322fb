/**
 * JWT-SVIDs for workloads (SPIFFE JWT-SVID; reference ids JW-1 … JW-8): for others than our own servers, with keys of their own.
 * One for a workload of the trust domain is bound to the certificate of whoever asks for it; a bare one is given for
 * audiences outside that the operator has listed, and for no others.
 */

import {
  backdatingSeconds,
  epochClaim,
  epochSeconds,
  mintJwtSvid,
  Secret,
  toBase64url,
  tokenLimits,
} from '@doorward/core'
import type { EpochSeconds, JwtSvidClaims } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { MintedToken, TokenRequest } from './exchange-token.ts'
import type { KeySlots } from './key-slots.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface JwtSvidDependencies {
  readonly context: AuthorityContext
  readonly slots: Pick<KeySlots, 'jwtSvidKey'>
  /** `iss` of every token. */
  readonly issuer: string
  /** Audiences outside the trust domain, who cannot look at certificates. */
  readonly outside: (audience: string) => boolean
  /** SPIFFE IDs of workloads. */
  readonly registered: (id: string) => boolean
  readonly deniedBefore: (id: string) => number
}

/** Mints one; on record with its id, never with its text. Refusals: `audience_unknown`, `authority_unready`. */
export async function jwtSvidFor(
  dependencies: JwtSvidDependencies,
  request: TokenRequest,
): Promise<MintedToken | AuthorityRefusal> {
  const { context, slots, outside, registered } = dependencies
  const { audience, id } = request
  const bare = outside(audience)
  if (!bare && !registered(audience))
    return refuse('audience_unknown', `no JWT-SVIDs for ${JSON.stringify(audience.slice(0, 200))}`)
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
  const now = nowSeconds(context)
  const active = slots.jwtSvidKey(now)
  if (active === null) return refuse('authority_unready', 'no key for JWT-SVIDs can sign now')
  const iat = epochSeconds(Math.max(now, dependencies.deniedBefore(id)))
  const exp = epochSeconds(
    Math.min(iat + tokenLimits.lifetimeSeconds, request.certificateNotAfter, active.slot.notAfter),
  )
  if (exp <= now) return refuse('authority_unready', 'the certificate or the key for JWT-SVIDs ends now')
  const jti = toBase64url(context.random(16))
  const epoch = Math.max(request.epoch, active.slot.epoch)
  const claims = claimsOf(dependencies, request, { iat, exp, jti, epoch, bare })
  const { certificateFingerprint: certificate } = request
  const body = { phase: 'jwt-svid', token: jti, id, audience, certificate, bound: !bare, expires_at: exp }
  await context.log.append({ kind: 'issuance', body })
  const token = await mintJwtSvid(claims, { kid: active.slot.keyId, signKey: active.key })
  return { token: new Secret(token), expiresInSeconds: exp - now }
}

interface Stamp {
  readonly iat: EpochSeconds
  readonly exp: EpochSeconds
  readonly jti: string
  readonly epoch: number
  readonly bare: boolean
}

function claimsOf(
  { issuer }: JwtSvidDependencies,
  { id, audience, certificateFingerprint }: TokenRequest,
  { iat, exp, jti, epoch, bare }: Stamp,
): JwtSvidClaims {
  return {
    iss: issuer,
    sub: id,
    aud: audience,
    iat,
    nbf: epochSeconds(iat - backdatingSeconds),
    exp,
    jti,
    [epochClaim]: epoch,
    ...(bare ? {} : { cnf: { 'x5t#S256': certificateFingerprint } }),
  }
}
