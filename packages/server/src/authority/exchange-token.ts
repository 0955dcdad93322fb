/** Access tokens by client credentials: one allowed audience, bound to the certificate of the connection (RFC 6749 §4.4, RFC 8705, RFC 8707). */

import {
  backdatingSeconds,
  epochClaim,
  epochSeconds,
  mintToken,
  Secret,
  toBase64url,
  tokenLimits,
} from '@doorward/core'
import type { AccessTokenClaims, EpochSeconds } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { KeySlots } from './key-slots.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface TokenDependencies {
  readonly context: AuthorityContext
  readonly slots: KeySlots
  /** `iss` of every token. */
  readonly issuer: string
  /** Whether tokens may be asked for this audience at all; what they may do there is decided there. */
  readonly allowedAudience: (audience: string) => boolean
  readonly deniedBefore: (id: string) => number
}

/** All from the verified certificate but the audience. */
export interface TokenRequest {
  readonly id: string
  readonly certificateFingerprint: string
  readonly certificateNotAfter: EpochSeconds
  readonly epoch: number
  readonly audience: string
}

export interface MintedToken {
  readonly token: Secret
  readonly expiresInSeconds: number
}

/** Mints one token; on record with its id, never with its text. Refusals: `audience_unknown`, `authority_unready`. */
export async function exchangeToken(
  dependencies: TokenDependencies,
  request: TokenRequest,
): Promise<MintedToken | AuthorityRefusal> {
  const { context, slots, issuer, allowedAudience, deniedBefore } = dependencies
  if (!allowedAudience(request.audience)) {
    return refuse('audience_unknown', `no audience ${JSON.stringify(request.audience.slice(0, 200))}`)
  }
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
  const now = nowSeconds(context)
  const active = slots.tokenKey(now)
  if (active === null) return refuse('authority_unready', 'no token key can sign now')
  const iat = epochSeconds(Math.max(now, deniedBefore(request.id)))
  const exp = epochSeconds(
    Math.min(iat + tokenLimits.lifetimeSeconds, request.certificateNotAfter, active.slot.notAfter),
  )
  if (exp <= now) return refuse('authority_unready', 'the certificate or the token key ends now')
  const claims: AccessTokenClaims = {
    iss: issuer,
    sub: request.id,
    aud: request.audience,
    iat,
    nbf: epochSeconds(iat - backdatingSeconds),
    exp,
    jti: toBase64url(context.random(16)),
    client_id: request.id,
    cnf: { 'x5t#S256': request.certificateFingerprint },
    // The keys of a recovery are of the epoch that its denial begins: their tokens outlive it.
    [epochClaim]: Math.max(request.epoch, active.slot.epoch),
  }
  await context.log.append({
    kind: 'issuance',
    body: {
      phase: 'token',
      token: claims.jti,
      id: claims.sub,
      audience: claims.aud,
      certificate: request.certificateFingerprint,
      expires_at: exp,
    },
  })
  const token = await mintToken(claims, { kid: active.slot.keyId, signKey: active.key })
  return { token: new Secret(token), expiresInSeconds: exp - now }
}
