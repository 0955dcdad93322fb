/**
 * Tokens of the front: for a code with its verifier (RFC 6749 §4.1.3, RFC 7636 §4.6), and for a refresh token that is good once
 * (RFC 9700 §4.14.2). Whatever was used before ends all that came of it, with the tokens that are live.
 */

import {
  epochClaim,
  epochSeconds,
  frontTokenFits,
  mintFrontToken,
  Secret,
  toBase64url,
  tokenLimits,
  userClaim,
  userName,
  utf8,
} from '@doorward/core'
import type { EpochSeconds, FrontTokenClaims } from '@doorward/core'
import { nowSeconds } from '../context.ts'
import { endedBecause, hashOf, randomText } from './context.ts'
import type { FrontContext } from './context.ts'
import { familyOf, readRefresh, refreshText } from './refresh-token.ts'
import { isFrontRefusal, refuseFront } from './refusal.ts'
import type { FrontRefusal } from './refusal.ts'
import type { FrontGrant, Rotation } from './store.ts'

/** Who asks, as far as is proven. */
export interface TokenCaller {
  readonly clientId: string
  /** Thumbprint of the key that a proof has shown; null without a proof. */
  readonly jkt: string | null
}

export interface CodeRequest extends TokenCaller {
  readonly code: Secret
  readonly redirectUri: string
  readonly verifier: Secret
  /** Null: as it was asked for. */
  readonly resource: string | null
}

export interface RefreshRequest extends TokenCaller {
  readonly refreshToken: Secret
  readonly resource: string | null
  /** At most what was granted; null: that. */
  readonly scopes: readonly string[] | null
}

export interface FrontTokens {
  readonly accessToken: Secret
  readonly refreshToken: Secret
  readonly type: 'DPoP' | 'Bearer'
  readonly expiresInSeconds: number
  readonly scopes: readonly string[]
}

const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/
const TEXT = /^[A-Za-z0-9_-]{43}$/
/** Of a token, in denials and the record: as the edge names it. */
const NAME_LENGTH = 22
/** Of one grant at once. */
const LIVE_TOKENS = 16

/** Refusals: `grant_refused`, `audience_unknown`, `dpop_invalid`, `limit_user`, `authority_unready`. */
export async function redeemFrontCode(
  context: FrontContext,
  request: CodeRequest,
): Promise<FrontTokens | FrontRefusal> {
  const unfit = context.unfit()
  if (unfit !== null) return refuseFront('authority_unready', unfit)
  const unbound = bindingProblem(context, request)
  if (unbound !== null) return unbound
  const code = request.code.reveal()
  if (!TEXT.test(code)) return refuseFront('grant_refused', 'no such code')
  // Before the code is spent: it is good once.
  if (context.slots.tokenKey(nowSeconds(context)) === null) return noKey()
  const redeemed = await context.store.front.redeem(hashOf(context, code), nowSeconds(context))
  if (redeemed.outcome === 'unknown') return refuseFront('grant_refused', 'no such code, or it has ended')
  if (redeemed.outcome === 'spent') {
    await endReused(context, redeemed.id, `a code was used twice, the second time by ${shown(request)}`)
    return refuseFront('grant_refused', `the code was used before; all that came of it has ended`)
  }
  return issueOnce(context, redeemed.grant, request)
}

/** Of a code that is spent: where nothing comes of it, it is none any more, so that who tries again is no second one. */
async function issueOnce(
  context: FrontContext,
  grant: FrontGrant,
  request: CodeRequest,
): Promise<FrontTokens | FrontRefusal> {
  const { front } = context.store
  const family = familyOf(context, request.code.reveal())
  try {
    const turn = { from: null, family, scopes: grant.request.scopes }
    const answer =
      (await codeProblem(context, grant, request)) ?? (await issue(context, { ...grant, jkt: request.jkt }, turn))
    if (isFrontRefusal(answer) && (await front.find(grant.id, nowSeconds(context))) !== null)
      await endGrant(context, grant, answer.why)
    return answer
  } catch (error) {
    await front.end(grant.id, nowSeconds(context)).catch(() => null)
    throw error
  }
}

function noKey(): FrontRefusal {
  return refuseFront('authority_unready', 'no token key can sign now')
}

function shown({ clientId }: TokenCaller): string {
  return JSON.stringify(clientId.slice(0, 200))
}

function bindingProblem({ settings }: FrontContext, { jkt }: TokenCaller): FrontRefusal | null {
  return jkt === null && !settings.bearer ? refuseFront('dpop_invalid', 'expected a proof of a key') : null
}

/** The code is spent, whatever is wrong: nobody tries twice. */
async function codeProblem(context: FrontContext, grant: FrontGrant, asked: CodeRequest): Promise<FrontRefusal | null> {
  const { request } = grant
  const verifier = asked.verifier.reveal()
  if (request.clientId !== asked.clientId) return refuseFront('grant_refused', 'the code is of another client')
  if (request.redirectUri !== asked.redirectUri)
    return refuseFront('grant_refused', 'expected the redirect_uri that the code was sent to')
  if (!VERIFIER.test(verifier) || hashOf(context, verifier) !== request.challenge)
    return refuseFront('grant_refused', 'expected the code_verifier of the code_challenge')
  if (grant.jkt !== null && grant.jkt !== asked.jkt)
    return refuseFront('grant_refused', 'expected a proof by the key of dpop_jkt')
  return useProblem(context, grant, asked)
}

async function useProblem(
  context: FrontContext,
  grant: FrontGrant,
  { resource }: Pick<CodeRequest, 'resource'>,
): Promise<FrontRefusal | null> {
  if (resource !== null && resource !== grant.request.resource)
    return refuseFront('audience_unknown', `expected the resource ${grant.request.resource}`)
  const ended = await endedBecause(context, grant)
  return ended === null ? null : refuseFront('grant_refused', ended)
}

/** Refusals as `redeemFrontCode`, and `scope_unknown`. */
export async function refreshFront(
  context: FrontContext,
  request: RefreshRequest,
): Promise<FrontTokens | FrontRefusal> {
  const unfit = context.unfit()
  if (unfit !== null) return refuseFront('authority_unready', unfit)
  const found = await grantOf(context, request.refreshToken)
  if (found === null) return refuseFront('grant_refused', 'no such refresh token, or all that it is of has ended')
  const { grant, refresh } = found
  const { scopes: granted, clientId } = grant.request
  if (clientId !== request.clientId) return refuseFront('grant_refused', 'the refresh token is of another client')
  if (grant.jkt !== request.jkt)
    return refuseFront('grant_refused', 'expected a proof by the key that the refresh token is bound to')
  const problem = bindingProblem(context, request) ?? (await useProblem(context, grant, request))
  if (problem?.code === 'grant_refused') await endGrant(context, grant, problem.why)
  if (problem !== null) return problem
  const scopes = [...new Set(request.scopes ?? granted)]
  if (!scopes.every((scope) => granted.includes(scope)))
    return refuseFront('scope_unknown', `expected no scope beside ${granted.join(' ')}`)
  // Nothing is signed for it, and nothing entered; of two at once the store still lets one through alone.
  if (grant.refreshHash !== refresh.hash) return replayed(context, grant)
  return issue(context, grant, { from: refresh.hash, family: refresh.family, scopes })
}

/** Of a token that was issued once: what never was is none, whatever grant it names. */
async function grantOf(context: FrontContext, token: Secret) {
  const refresh = readRefresh(context, token)
  const grant = refresh === null ? null : await context.store.front.find(refresh.id, nowSeconds(context))
  return refresh === null || grant === null || !refresh.issuedBy(grant) ? null : { grant, refresh }
}

/** Ends what a refresh token is of. For another client, and for what is none, nothing happens (RFC 7009 §2.2). */
export async function revokeFront(context: FrontContext, token: Secret, clientId: string): Promise<void> {
  const found = await grantOf(context, token)
  if (found === null || found.grant.request.clientId !== clientId) return
  await endGrant(context, found.grant, 'the client has revoked it')
}

interface Turn {
  /** Hash of the refresh token that is used; null with a code. */
  readonly from: string | null
  readonly family: string
  readonly scopes: readonly string[]
}

async function issue(
  context: FrontContext,
  grant: FrontGrant,
  { from, family, scopes }: Turn,
): Promise<FrontTokens | FrontRefusal> {
  const now = nowSeconds(context)
  const active = context.slots.tokenKey(now)
  if (active === null) return noKey()
  const until = Math.min(now + tokenLimits.lifetimeSeconds, grant.expiresAt, active.slot.notAfter)
  if (until <= now) return refuseFront('grant_refused', 'it has ended')
  const claims = claimsOf(context, grant, { scopes, now, until, epoch: Math.max(grant.epoch, active.slot.epoch) })
  if (!frontTokenFits(claims))
    return refuseFront('grant_refused', 'a token for this person would be too large: narrow claims.group_prefix')
  const token = { name: tokenName(context, claims), expiresAt: claims.exp }
  // Before the refresh token is spent: a key that cannot sign would make the next try look like a theft.
  const text = await mintFrontToken(claims, { kid: active.slot.keyId, signKey: active.key })
  await enter(context, claims, { name: token.name, grant: grant.id, by: from === null ? 'code' : 'refresh' })
  const secret = randomText(context)
  const rotation = { id: grant.id, from, to: hashOf(context, secret), jkt: grant.jkt, token }
  const refusal = await heldBack(context, grant, { rotation, now })
  if (refusal !== null) return refusal
  return {
    accessToken: new Secret(text),
    refreshToken: new Secret(refreshText(context, grant, { family, secret })),
    type: grant.jkt === null ? 'Bearer' : 'DPoP',
    expiresInSeconds: claims.exp - now,
    scopes,
  }
}

interface Release {
  readonly rotation: Rotation
  readonly now: EpochSeconds
}

/** Why the token does not leave, on record beside what was entered of it; null when it may. */
async function heldBack(context: FrontContext, grant: FrontGrant, release: Release): Promise<FrontRefusal | null> {
  const { name } = release.rotation.token
  let refusal: FrontRefusal | null
  try {
    refusal = await released(context, grant, release)
  } catch (error) {
    // The refresh token may be spent, and no next one was given: who tries again with it is no second one.
    await context.store.front.end(grant.id, release.now).catch(() => null)
    await enterVoid(context, { name, grant: grant.id, why: 'the authority failed' }).catch(() => undefined)
    throw error
  }
  if (refusal !== null) await enterVoid(context, { name, grant: grant.id, why: refusal.why })
  return refusal
}

async function released(
  context: FrontContext,
  grant: FrontGrant,
  { rotation, now }: Release,
): Promise<FrontRefusal | null> {
  switch (await context.store.front.rotate(rotation, now, LIVE_TOKENS)) {
    case 'rotated': {
      // Once more, after the time that the token says: what is denied from here on is denied with it.
      const ended = await endedBecause(context, grant)
      if (ended === null) return null
      await endGrant(context, grant, ended)
      return refuseFront('grant_refused', ended)
    }
    case 'busy':
      return refuseFront('limit_user', 'too many tokens of this grant are live: use them until they end')
    case 'spent':
      return replayed(context, grant)
    case 'gone':
      return refuseFront('grant_refused', 'it has ended')
  }
}

async function replayed(context: FrontContext, { id }: FrontGrant): Promise<FrontRefusal> {
  await endReused(context, id, 'a refresh token was used twice')
  return refuseFront('grant_refused', 'the refresh token was used before; all that came of it has ended')
}

interface Content {
  readonly scopes: readonly string[]
  readonly now: EpochSeconds
  readonly until: number
  readonly epoch: number
}

function claimsOf(context: FrontContext, grant: FrontGrant, { scopes, now, until, epoch }: Content): FrontTokenClaims {
  const { request, person, jkt } = grant
  const { user, acr, amr, authTime } = person
  const methods = amr.filter((one) => one.length <= tokenLimits.idLength)
  return {
    iss: context.settings.publicUrl,
    aud: request.resource,
    sub: userName(user),
    client_id: request.clientId,
    iat: now,
    exp: epochSeconds(until),
    jti: randomText(context, 16),
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(jkt === null ? {} : { cnf: { jkt } }),
    ...(acr === null || acr.length > tokenLimits.idLength ? {} : { acr }),
    ...(methods.length === 0 ? {} : { amr: methods }),
    ...(authTime === null ? {} : { auth_time: authTime }),
    [epochClaim]: epoch,
    [userClaim]: user,
  }
}

/** As `identifyEdge` has it. */
function tokenName({ sha256 }: FrontContext, claims: FrontTokenClaims): string {
  const { issuer } = claims[userClaim]
  return toBase64url(sha256(utf8(`${issuer}\0${claims.jti}`))).slice(0, NAME_LENGTH)
}

interface Entered {
  readonly name: string
  readonly grant: string
  readonly by: 'code' | 'refresh'
}

async function enter({ log }: FrontContext, claims: FrontTokenClaims, { name, grant, by }: Entered): Promise<void> {
  const { sub, client_id: client, aud, scope = '', cnf, exp } = claims
  await log.append({
    kind: 'issuance',
    body: {
      phase: 'front-token',
      token: name,
      user: sub,
      client,
      grant,
      by,
      audience: aud,
      scope,
      ...(cnf === undefined ? {} : { key: cnf.jkt }),
      expires_at: exp,
    },
  })
}

/** What was entered has opened nothing: the token was not given to anybody. */
async function enterVoid(
  { log }: FrontContext,
  { name, grant, why }: Omit<Entered, 'by'> & { readonly why: string },
): Promise<void> {
  await log.append({ kind: 'issuance', body: { phase: 'front-token-void', token: name, grant, why } })
}

/** Ends a grant; access tokens that are live go on to their end, which is near. */
async function endGrant(context: FrontContext, { id, request, person }: FrontGrant, why: string): Promise<void> {
  const body = { phase: 'front-end', grant: id, user: userName(person.user), client: request.clientId, why }
  await context.log.append({ kind: 'issuance', body })
  await context.store.front.end(id, nowSeconds(context))
}

/** Somebody else has had the code or the token: nothing that came of it counts any more, at once and everywhere. */
async function endReused(context: FrontContext, id: string, detail: string): Promise<void> {
  await context.log.append({ kind: 'issuance', body: { phase: 'front-end', grant: id, why: detail } })
  const live = await context.store.front.end(id, nowSeconds(context))
  // Of several who come at once, one finds it: the others have nothing to end.
  if (live === null) return
  const names = live.map(({ name }) => name)
  await context.reused({ id }, detail, await context.denyTokens(names, detail))
}
