/**
 * Access tokens, bound to the certificate of the connection, for one allowed audience (RFC 8705, RFC 8707): by client
 * credentials for the workload itself (RFC 6749 §4.4), or by exchange for a person who has signed in at it (RFC 8693). For
 * whoever has called the workload: `exchange-chain`.
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
  utf8,
  verifyUserIdentity,
} from '@doorward/core'
import type { AccessTokenClaims, chainClaim, EpochSeconds, UserIdentityClaims } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { KeySlots } from './key-slots.ts'
import { provenLoginKey } from './login-key.ts'
import type { PresentedProof } from './login-key.ts'
import { newestDenial } from './newest-denial.ts'
import { signInIssuer } from './people.ts'
import type { PublishedKeys } from './published-keys.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { narrowedClaims } from './token-narrowing.ts'

export interface TokenDependencies {
  readonly context: AuthorityContext
  readonly slots: KeySlots
  /** `iss` of every token. */
  readonly issuer: string
  /** Whether tokens may be asked for this audience at all; what they may do there is decided there. */
  readonly allowedAudience: (audience: string) => Promise<boolean>
  /** As published; 0 for nobody. */
  readonly deniedBefore: (id: string) => number
  /** Keys of all authorities that are not denied, and all else that is. */
  readonly published: () => PublishedKeys
  /** Whose registration has the audience; null where none has. */
  readonly audienceHolder: (audience: string) => Promise<string | null>
}

/** All from the verified certificate but the audience. */
export interface TokenRequest {
  readonly id: string
  readonly certificateFingerprint: string
  readonly certificateNotAfter: EpochSeconds
  readonly epoch: number
  readonly audience: string
}

export interface AccessTokenRequest extends TokenRequest {
  /** What the token is to be narrowed to; null for nothing beside what it is made of. */
  readonly scope: readonly string[] | null
  /** Who may exchange it, SPIFFE IDs; null for whoever it is addressed to. */
  readonly mayAct: readonly string[] | null
}

/** For whom a workload asks, beside itself. */
export interface UserTokenRequest extends AccessTokenRequest {
  readonly identity: Secret
  readonly proof: PresentedProof
}

export interface MintedToken {
  readonly token: Secret
  readonly expiresInSeconds: number
  /** What it is narrowed to; absent for nothing. */
  readonly scope?: string
}

/** Mints one token; on record with its id, never with its text. Refusals: `audience_unknown`, `authority_unready`. */
export async function exchangeToken(
  dependencies: TokenDependencies,
  request: AccessTokenRequest,
): Promise<MintedToken | AuthorityRefusal> {
  const { allowedAudience, deniedBefore } = dependencies
  if (!(await allowedAudience(request.audience))) return unknownAudience(request)
  const { id } = request
  const narrowed = narrowedClaims(request, {})
  if (isAuthorityRefusal(narrowed)) return narrowed
  return minted(dependencies, request, {
    claims: { sub: id, ...narrowed },
    record: {},
    now: nowSeconds(dependencies.context),
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
  const { context, allowedAudience, deniedBefore, issuer } = dependencies
  if (request.audience === issuer || !(await allowedAudience(request.audience))) return unknownAudience(request)
  const claims = userOf(dependencies, request)
  if (isAuthorityRefusal(claims)) return claims
  // The token says of the person no more than this moment: before the store is asked what another authority has denied.
  const now = nowSeconds(context)
  const denied = await newestDenial({ store: context.store, deniedBefore }, claims.sub)
  if (claims.iat < denied) return refuse('identity_denied', `the sign-in of ${claims.sub} is denied`)
  const { [userClaim]: user, sub, exp } = claims
  const narrowed = narrowedClaims(request, {})
  if (isAuthorityRefusal(narrowed)) return narrowed
  return minted(dependencies, request, {
    claims: { sub, act: { sub: request.id }, [userClaim]: user, ...narrowed },
    record: { user: sub, identity: claims.jti },
    now,
    from: Math.max(deniedBefore(request.id), denied),
    until: epochSeconds(Math.min(request.certificateNotAfter, exp)),
  })
}

export function unknownAudience({ audience }: TokenRequest): AuthorityRefusal {
  return refuse('audience_unknown', `no audience ${JSON.stringify(audience.slice(0, 200))}`)
}

/** The person, when the identity is by our key, for this workload, live, not denied itself, and in the hand of its key. */
function userOf(dependencies: TokenDependencies, request: UserTokenRequest): UserIdentityClaims | AuthorityRefusal {
  const { context, issuer, published } = dependencies
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
  if (deniedTokens.has(claims.jti)) return refuse('identity_denied', `the sign-in of ${claims.sub} is denied`)
  return signInIssuer(context.people, claims[userClaim].issuer, id) === null
    ? refuse('grant_refused', `${id} may not act for people of ${claims[userClaim].issuer}`)
    : claims
}

export interface TokenContent {
  readonly claims: Pick<AccessTokenClaims, 'sub' | 'act' | 'scope' | 'may_act' | typeof userClaim | typeof chainClaim>
  /** What the entry says beside what every one says. */
  readonly record: object
  /** Taken before it was asked what is denied: whatever is denied after that is dated after the token. */
  readonly now: EpochSeconds
  /** What was issued before is denied. */
  readonly from: number
  readonly until: EpochSeconds
}

/** Signs what has been judged. Refusals: `authority_unready`, and `exchange_refused` for more than a token can hold. */
export async function minted(
  { context, slots, issuer }: TokenDependencies,
  request: TokenRequest,
  { claims: subject, record, now, from, until }: TokenContent,
): Promise<MintedToken | AuthorityRefusal> {
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
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
  const length = sizeOf(claims)
  if (length > tokenLimits.bytes)
    return refuse('exchange_refused', `expected at most ${tokenLimits.bytes} characters of token, got ${length}`)
  await context.log.append({
    kind: 'issuance',
    body: {
      phase: 'token',
      token: claims.jti,
      id: request.id,
      ...record,
      audience: claims.aud,
      ...(claims.scope === undefined ? {} : { scope: claims.scope.split(' ') }),
      ...(claims.may_act === undefined ? {} : { may_act: claims.may_act.sub }),
      certificate: request.certificateFingerprint,
      expires_at: exp,
    },
  })
  const token = await mintToken(claims, { kid: active.slot.keyId, signKey: active.key })
  const { scope } = claims
  return { token: new Secret(token), expiresInSeconds: exp - now, ...(scope === undefined ? {} : { scope }) }
}

/** Header and signature of our tokens, and the dots. */
const AROUND_PAYLOAD = 350

function sizeOf(claims: AccessTokenClaims): number {
  return Math.ceil((utf8(JSON.stringify(claims)).length * 4) / 3) + AROUND_PAYLOAD
}
