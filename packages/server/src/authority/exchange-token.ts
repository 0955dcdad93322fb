/**
 * Access tokens, bound to the certificate of the connection, for one allowed audience (RFC 8705, RFC 8707): by client
 * credentials for the workload itself (RFC 6749 §4.4), or by exchange for a person who has signed in at it (RFC 8693).
 */

import {
  backdatingSeconds,
  epochClaim,
  epochSeconds,
  mintToken,
  Secret,
  toBase64url,
  tokenLimits,
  userClaim,
  verifyUserIdentity,
} from '@doorward/core'
import type { AccessTokenClaims, EpochSeconds, TokenKeySet, UserIdentityClaims } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { KeySlots } from './key-slots.ts'
import { provenLoginKey } from './login-key.ts'
import type { PresentedProof } from './login-key.ts'
import { signInIssuer } from './people.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface TokenDependencies {
  readonly context: AuthorityContext
  readonly slots: KeySlots
  /** `iss` of every token. */
  readonly issuer: string
  /** Whether tokens may be asked for this audience at all; what they may do there is decided there. */
  readonly allowedAudience: (audience: string) => Promise<boolean>
  readonly deniedBefore: (id: string) => number
  /** Keys of all authorities that are not denied, and ids of tokens that are. */
  readonly published: () => { readonly tokenKeys: TokenKeySet; readonly deniedTokens: readonly string[] }
}

/** All from the verified certificate but the audience. */
export interface TokenRequest {
  readonly id: string
  readonly certificateFingerprint: string
  readonly certificateNotAfter: EpochSeconds
  readonly epoch: number
  readonly audience: string
}

/** For whom a workload asks, beside itself. */
export interface UserTokenRequest extends TokenRequest {
  readonly identity: Secret
  readonly proof: PresentedProof
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
  const { allowedAudience, deniedBefore } = dependencies
  if (!(await allowedAudience(request.audience))) return unknownAudience(request)
  const { id } = request
  return minted(dependencies, request, {
    claims: { sub: id },
    record: {},
    from: deniedBefore(id),
    until: request.certificateNotAfter,
  })
}

/**
 * The same for a person, one hop: the subject is the person, the actor the workload that holds the connection (DX-1 … DX-5). Not
 * for our own API: people use it as operators do, with an identity of their own. Refusals beside those of `exchangeToken`:
 * `grant_refused`, `proof_invalid`, `identity_denied`.
 */
export async function exchangeUserToken(
  dependencies: TokenDependencies,
  request: UserTokenRequest,
): Promise<MintedToken | AuthorityRefusal> {
  const { allowedAudience, deniedBefore, issuer } = dependencies
  if (request.audience === issuer || !(await allowedAudience(request.audience))) return unknownAudience(request)
  const claims = userOf(dependencies, request)
  if (isAuthorityRefusal(claims)) return claims
  const { [userClaim]: user, sub, exp } = claims
  return minted(dependencies, request, {
    claims: { sub, act: { sub: request.id }, [userClaim]: user },
    record: { user: sub, identity: claims.jti },
    from: Math.max(deniedBefore(request.id), deniedBefore(sub)),
    until: epochSeconds(Math.min(request.certificateNotAfter, exp)),
  })
}

function unknownAudience({ audience }: TokenRequest): AuthorityRefusal {
  return refuse('audience_unknown', `no audience ${JSON.stringify(audience.slice(0, 200))}`)
}

/** The person, when the identity is by our key, for this workload, live, undenied, and in the hand of its key. */
function userOf(dependencies: TokenDependencies, request: UserTokenRequest): UserIdentityClaims | AuthorityRefusal {
  const { context, issuer, deniedBefore, published } = dependencies
  const { id, epoch, audience, certificateFingerprint, proof } = request
  const token = request.identity.reveal()
  const { tokenKeys, deniedTokens } = published()
  const check = { issuer, presenter: id, epoch, keys: tokenKeys, now: nowSeconds(context) }
  const verdict = verifyUserIdentity(token, check)
  if (!verdict.ok) return refuse('grant_refused', `${verdict.code}: ${verdict.message}`)
  const { claims } = verdict
  const jkt = provenLoginKey(context, proof, { use: 'exchange', certificateFingerprint, audience, token })
  if (typeof jkt !== 'string') return jkt
  if (jkt !== claims.cnf.jkt) return refuse('proof_invalid', 'expected a proof by the key of the sign-in')
  if (claims.iat < deniedBefore(claims.sub) || deniedTokens.includes(claims.jti))
    return refuse('identity_denied', `the sign-in of ${claims.sub} is denied`)
  return signInIssuer(context.people, claims[userClaim].issuer, id) === null
    ? refuse('grant_refused', `${id} may not act for people of ${claims[userClaim].issuer}`)
    : claims
}

interface Content {
  readonly claims: Pick<AccessTokenClaims, 'sub' | 'act' | typeof userClaim>
  /** What the entry says beside what every one says. */
  readonly record: object
  /** What was issued before is denied. */
  readonly from: number
  readonly until: EpochSeconds
}

async function minted(
  { context, slots, issuer }: TokenDependencies,
  request: TokenRequest,
  { claims: subject, record, from, until }: Content,
): Promise<MintedToken | AuthorityRefusal> {
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
  const now = nowSeconds(context)
  const active = slots.tokenKey(now)
  if (active === null) return refuse('authority_unready', 'no token key can sign now')
  const iat = epochSeconds(Math.max(now, from))
  const exp = epochSeconds(Math.min(iat + tokenLimits.lifetimeSeconds, until, active.slot.notAfter))
  if (exp <= now) return refuse('authority_unready', 'the certificate or the token key ends now')
  const claims: AccessTokenClaims = {
    iss: issuer,
    aud: request.audience,
    iat,
    nbf: epochSeconds(iat - backdatingSeconds),
    exp,
    jti: toBase64url(context.random(16)),
    client_id: request.id,
    cnf: { 'x5t#S256': request.certificateFingerprint },
    // The keys of a recovery are of the epoch that its denial begins: their tokens outlive it.
    [epochClaim]: Math.max(request.epoch, active.slot.epoch),
    ...subject,
  }
  await context.log.append({
    kind: 'issuance',
    body: {
      phase: 'token',
      token: claims.jti,
      id: request.id,
      ...record,
      audience: claims.aud,
      certificate: request.certificateFingerprint,
      expires_at: exp,
    },
  })
  const token = await mintToken(claims, { kid: active.slot.keyId, signKey: active.key })
  return { token: new Secret(token), expiresInSeconds: exp - now }
}
