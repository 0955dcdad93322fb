/**
 * Delegation (RFC 8693): a workload that was called shows the caller's token, and gets one to act for it, and for whomever
 * the caller acts (reference ids DX-1 … DX-6). The subject stays, the chain grows by the presenter, and nothing gets wider.
 */

import {
  actorsOf,
  chainClaim,
  epochSeconds,
  heldLinks,
  linkKeyWithdrawal,
  linkWithdrawal,
  tokenLimits,
  userClaim,
  verifySubjectToken,
} from '@doorward/core'
import type { AccessTokenClaims, ChainLink, EpochSeconds, Secret } from '@doorward/core'
import { nowSeconds } from './context.ts'
import { minted, unknownAudience } from './exchange-token.ts'
import type { AccessTokenRequest, MintedToken, TokenContent, TokenDependencies } from './exchange-token.ts'
import { signInIssuer } from './people.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { narrowedClaims } from './token-narrowing.ts'

/** For whom a workload asks: whoever has called it. */
export interface DelegatedTokenRequest extends AccessTokenRequest {
  readonly subjectToken: Secret
}

/** A token that may be exchanged by whoever asks, as far as it says itself. */
interface Subject {
  readonly claims: AccessTokenClaims
  readonly link: ChainLink
  /** The end of the certificate that it is bound to. */
  readonly notAfter: EpochSeconds
}

/**
 * Mints one token for the subject of the one that is shown. Not for our own API, as with people. Refusals: those of
 * `narrowedClaims`, `audience_unknown`, `exchange_refused` (the token is not good), `exchange_audience` (it was not given to who
 * asks), `exchange_actor` (others may act), `exchange_loop`, `exchange_depth`, `exchange_denied` (a link of the chain is),
 * `authority_unready`.
 */
export async function exchangeDelegated(
  dependencies: TokenDependencies,
  request: DelegatedTokenRequest,
): Promise<MintedToken | AuthorityRefusal> {
  const { context, allowedAudience, deniedBefore, issuer } = dependencies
  const now = nowSeconds(context)
  if (request.audience === issuer || !(await allowedAudience(request.audience))) return unknownAudience(request)
  const subject = await subjectOf(dependencies, request)
  if (isAuthorityRefusal(subject)) return subject
  const { claims, link, notAfter } = subject
  const { sub, act, [userClaim]: user, [chainClaim]: links = [] } = claims
  const delegated = {
    sub,
    act: act === undefined ? { sub: request.id } : { sub: request.id, act },
    ...(user === undefined ? {} : { [userClaim]: user }),
    [chainClaim]: [link, ...links],
  }
  const denied = chainRefusal(dependencies, delegated)
  if (denied !== null) return denied
  const narrowed = narrowedClaims(request, claims)
  if (isAuthorityRefusal(narrowed)) return narrowed
  const shown = { shown: claims.jti, shown_audience: claims.aud }
  return minted(dependencies, request, {
    claims: { ...delegated, ...narrowed },
    record: { presenter: request.id, subject: sub, act: actorsOf(act), ...shown },
    now,
    from: Math.max(deniedBefore(request.id), claims.iat),
    until: epochSeconds(Math.min(request.certificateNotAfter, claims.exp, notAfter)),
  })
}

/** The shown token, when it is ours, live, addressed to who shows it, and lets them act. */
async function subjectOf(
  dependencies: TokenDependencies,
  request: DelegatedTokenRequest,
): Promise<Subject | AuthorityRefusal> {
  const { context, issuer, published, audienceHolder } = dependencies
  const { id, epoch, subjectToken } = request
  const expect = { issuer, trustDomain: context.trustDomain, epoch }
  const check = { expect, keys: published().tokenKeys, now: nowSeconds(context) }
  const verdict = verifySubjectToken(subjectToken.reveal(), check)
  if (!verdict.ok) return refuse('exchange_refused', `${verdict.code}: ${verdict.message}`)
  const { claims, keyId } = verdict
  if ((await audienceHolder(claims.aud)) !== id)
    return refuse('exchange_audience', `expected a token for an audience of ${id}, got one for ${claims.aud}`)
  const refusal = actorRefusal(claims, id)
  if (refusal !== null) return refusal
  const bound = await context.store.issuance.findByFingerprint(claims.cnf['x5t#S256'])
  if (bound === null || bound.state !== 'released' || bound.id !== claims.client_id)
    return refuse(
      'exchange_denied',
      `the certificate to which the token of ${claims.client_id} is bound was not issued`,
    )
  const { jti, iat } = claims
  const link = { jti, iat, kid: keyId, serial: bound.serial, anchor: bound.anchorKeyId }
  return { claims, link, notAfter: bound.notAfter }
}

/** Whether the token lets this workload act, and the chain has room for it. */
function actorRefusal({ sub, act, may_act: mayAct }: AccessTokenClaims, id: string): AuthorityRefusal | null {
  const actors = actorsOf(act)
  if (mayAct !== undefined && !mayAct.sub.includes(id))
    return refuse('exchange_actor', `expected ${mayAct.sub.join(' or ') || 'nobody'} to act, got ${id}`)
  if (sub === id || actors.includes(id)) return refuse('exchange_loop', `${id} is in the chain already`)
  if (actors.length < tokenLimits.actDepth) return null
  return refuse('exchange_depth', `expected at most ${tokenLimits.actDepth} actors, got one more`)
}

/** What is held against anybody of the chain but the presenter, whose certificate the connection has shown. */
function chainRefusal(dependencies: TokenDependencies, claims: TokenContent['claims']): AuthorityRefusal | null {
  const { context, published, deniedBefore } = dependencies
  const denials = published()
  const links = heldLinks(claims)
  const problem = linkWithdrawal(links, denials) ?? linkKeyWithdrawal(links, denials)
  if (problem !== null) return refuse('exchange_denied', problem)
  const { sub, [userClaim]: user } = claims
  if (user === undefined) return null
  const first = links.at(-1)
  if (first === undefined || first.iat < deniedBefore(sub))
    return refuse('exchange_denied', `what was issued to ${sub} before is denied`)
  return signInIssuer(context.people, user.issuer, first.holder) === null
    ? refuse('exchange_denied', `${first.holder} may not act for people of ${user.issuer}`)
    : null
}
