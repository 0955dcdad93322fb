/**
 * Signing in: an ID token that was made for a key of the caller's machine becomes the identity of a person, for this workload
 * and this key alone. What the person may do is decided where they call.
 */

import {
  epochClaim,
  epochSeconds,
  loginNonce,
  mintUserIdentity,
  readIdToken,
  Secret,
  toBase64url,
  userClaim,
  userName,
  utf8,
} from '@doorward/core'
import type { EpochSeconds, IssuerClaims, UserIdentityClaims, UserSubject } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { TokenDependencies } from './exchange-token.ts'
import { provenLoginKey } from './login-key.ts'
import type { PresentedProof } from './login-key.ts'
import { newestDenial } from './newest-denial.ts'
import { signInIssuer } from './people.ts'
import type { SignInIssuer } from './people.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { ShownTokens } from './shown-tokens.ts'
import type { AuthorityRefusal } from './refusal.ts'

/** All from the verified certificate but what the person brings. */
export interface LoginRequest {
  readonly id: string
  readonly certificateFingerprint: string
  readonly epoch: number
  readonly idToken: Secret
  /** Part of the nonce: 32 random bytes in base64url. */
  readonly random: string
  readonly proof: PresentedProof
}

export interface LoginDependencies extends TokenDependencies {
  readonly shown: ShownTokens
}

export interface SignedIn {
  readonly identity: Secret
  readonly user: UserSubject
  readonly expires: EpochSeconds
}

/** For longer than any ID token is fresh. */
const rememberedSeconds = 600
/** What of a token of 4 KiB is left for the person: their name and groups as JSON. */
const MAX_USER = 1800

/**
 * Signs a person in, on record with their name and never with the token. Refusals: `login_refused` with the reason's code in its
 * details, `proof_invalid`, `identity_denied`, `issuer_unavailable`, `authority_unready`.
 */
export async function login(
  dependencies: LoginDependencies,
  request: LoginRequest,
): Promise<SignedIn | AuthorityRefusal> {
  const { context, issuer: audience, shown } = dependencies
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
  const token = request.idToken.reveal()
  const { id, certificateFingerprint } = request
  const jkt = provenLoginKey(context, request.proof, { use: 'login', certificateFingerprint, audience, token })
  if (typeof jkt !== 'string') return jkt
  const issuer = issuerFor(dependencies, token, id)
  if (isAuthorityRefusal(issuer)) return issuer
  const claims = await issuer.verify(token, loginNonce(jkt, request.random, context.sha256))
  if ('ok' in claims) {
    const told = `${issuer.name}: ${claims.code}: ${claims.message}`
    return claims.code === 'issuer_unavailable' ? refuse('issuer_unavailable', told) : refused(told, claims.code)
  }
  const now = nowSeconds(context)
  const signed = token.slice(0, token.lastIndexOf('.'))
  const digest = toBase64url(context.sha256(utf8(signed)))
  if (!shown.take(digest, { key: jkt, until: epochSeconds(claims.issuedAt + rememberedSeconds) }, now))
    return refused('another key has signed in with this ID token', 'token_binding')
  return signedIn(dependencies, request, { issuer, claims, jkt })
}

function refused(explanation: string, reason: string): AuthorityRefusal {
  return refuse('login_refused', explanation, { reason })
}

function issuerFor({ context }: TokenDependencies, token: string, id: string): SignInIssuer | AuthorityRefusal {
  const read = readIdToken(token)
  if ('ok' in read) return refused(`${read.code}: ${read.message}`, read.code)
  if (context.people.issuers.every(({ issuer }) => issuer !== read.claimedIssuer))
    return refused('no issuer of this name has a sign-in', 'token_issuer')
  return (
    signInIssuer(context.people, read.claimedIssuer, id) ??
    refused(`${id} may not act for people of ${read.claimedIssuer}`, 'workload_excluded')
  )
}

interface Proven {
  readonly issuer: SignInIssuer
  readonly claims: IssuerClaims
  readonly jkt: string
}

async function signedIn(
  { context, slots, issuer: audience, deniedBefore }: TokenDependencies,
  { id, epoch }: LoginRequest,
  { issuer, claims, jkt }: Proven,
): Promise<SignedIn | AuthorityRefusal> {
  const { kind: _kind, ...user } = claims.user
  const name = userName(user)
  const now = nowSeconds(context)
  const denied = await newestDenial({ store: context.store, deniedBefore }, name)
  if (claims.issuedAt < denied)
    return refuse('identity_denied', `what was issued to ${name} before ${denied} is denied: sign in again`)
  if (JSON.stringify(user).length > MAX_USER)
    return refused(
      `expected name and groups within ${MAX_USER} characters: narrow claims.group_prefix`,
      'user_too_large',
    )
  const active = slots.tokenKey(now)
  if (active === null) return refuse('authority_unready', 'no token key can sign now')
  const expires = epochSeconds(Math.min(endOf(issuer, claims, now), active.slot.notAfter))
  const iat = epochSeconds(Math.max(now, denied))
  if (expires <= iat) return refused('the sign-in has ended already', 'token_expired')
  const identity: UserIdentityClaims = {
    iss: audience,
    aud: audience,
    sub: name,
    iat,
    exp: expires,
    jti: toBase64url(context.random(16)),
    client_id: id,
    cnf: { jkt },
    [epochClaim]: Math.max(epoch, active.slot.epoch),
    [userClaim]: user,
  }
  const { acr, amr, authTime } = claims.strength
  await context.log.append({
    kind: 'issuance',
    body: {
      phase: 'user',
      token: identity.jti,
      user: name,
      groups: user.groups.length,
      id,
      issuer: issuer.name,
      key: jkt,
      expires_at: expires,
      ...(acr === null ? {} : { acr }),
      ...(amr.length === 0 ? {} : { amr }),
      ...(authTime === null ? {} : { auth_time: authTime }),
    },
  })
  const text = await mintUserIdentity(identity, { kid: active.slot.keyId, signKey: active.key })
  return { identity: new Secret(text), user: claims.user, expires }
}

/** Counted from the ID token, so that showing it twice gains nothing. */
function endOf({ lifetimeSeconds, maxAgeSeconds }: SignInIssuer, claims: IssuerClaims, now: EpochSeconds): number {
  const { issuedAt, strength } = claims
  const signedIn = maxAgeSeconds === null || strength.authTime === null ? null : strength.authTime + maxAgeSeconds
  const end = Math.min(issuedAt, now) + lifetimeSeconds
  return signedIn === null ? end : Math.min(end, signedIn)
}
