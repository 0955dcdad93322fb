/** The front's token endpoint (RFC 6749 §3.2, RFC 9449 §5) and revocation (RFC 7009): what a form asks for, and the answer. */

import { Secret } from '@doorward/core'
import { deny, isDenial, isMediaType, provenKey } from '@doorward/enforcement'
import type { Denial, Exchange, ProofRules } from '@doorward/enforcement'
import type { FrontContext } from '../authority/front/context.ts'
import { isFrontRefusal } from '../authority/front/refusal.ts'
import { redeemFrontCode, refreshFront, revokeFront } from '../authority/front/tokens.ts'
import type { FrontTokens, TokenCaller } from '../authority/front/tokens.ts'
import { readFields, readText } from './api-routes.ts'
import { frontPaths } from './front-metadata.ts'

export interface FrontTokenOptions {
  readonly context: FrontContext
  readonly proofs: ProofRules
}

export interface TokenAnswer {
  readonly body: object
}

const MAX_BODY = 16 * 1024
const MAX_VALUE = 2048
/** Clients here have no secret: RFC 6749 §2.3.1 lets none come by another way either. */
const credentials = ['client_secret', 'client_assertion', 'client_assertion_type']

/** `/token`. */
export async function answerToken(exchange: Exchange, options: FrontTokenOptions): Promise<TokenAnswer | Denial> {
  const asked = await readAsked(exchange)
  if (isDenial(asked)) return asked
  const { given, clientId } = asked
  const grantType = given('grant_type')
  if (grantType !== 'authorization_code' && grantType !== 'refresh_token')
    return deny('grant_unsupported', 'expected grant_type authorization_code or refresh_token')
  const jkt = await keyOf(exchange, options)
  if (jkt !== null && typeof jkt !== 'string') return jkt
  const tokens = await tokensFor({ ...asked, grantType, caller: { clientId, jkt } }, options.context)
  if (isDenial(tokens)) return tokens
  const { accessToken, refreshToken, type, expiresInSeconds, scopes } = tokens
  return {
    body: {
      access_token: accessToken.reveal(),
      token_type: type,
      expires_in: expiresInSeconds,
      refresh_token: refreshToken.reveal(),
      ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    },
  }
}

/** `/revoke`. Whatever is not ours to end is answered as if it had ended (RFC 7009 §2.2). */
export async function answerRevoke(exchange: Exchange, { context }: FrontTokenOptions): Promise<TokenAnswer | Denial> {
  const asked = await readAsked(exchange)
  if (isDenial(asked)) return asked
  const token = asked.given('token')
  if (token === undefined) return deny('request_invalid', 'expected a token')
  await revokeFront(context, new Secret(token), asked.clientId)
  return { body: {} }
}

interface Asked {
  readonly given: (name: string) => string | undefined
  readonly clientId: string
}

async function readAsked(exchange: Exchange): Promise<Asked | Denial> {
  const { headers, query } = exchange.head
  if (!isMediaType(headers['content-type'], 'application/x-www-form-urlencoded'))
    return deny('content_type', 'expected application/x-www-form-urlencoded')
  if (query !== '') return deny('request_invalid', 'expected no query')
  const body = await exchange.readBody(MAX_BODY)
  if (isDenial(body)) return body
  const text = readText(body)
  const form = typeof text === 'string' ? readFields(text, null) : text
  if (isDenial(form)) return form
  // A parameter without a value counts as left out (RFC 6749 §3.2).
  const given = (name: string) => form.get(name) || undefined
  for (const [name, value] of form)
    if (value.length > MAX_VALUE) return deny('request_invalid', `${name.slice(0, 60)} is too long`)
  if (headers['authorization'] !== undefined || credentials.some((name) => given(name) !== undefined))
    return deny('client_unknown', 'expected no credential of the client')
  const clientId = given('client_id')
  return clientId === undefined ? deny('client_unknown', 'expected a client_id') : { given, clientId }
}

/** Null without a proof; whether that is enough, and for which key, the grant decides. */
async function keyOf({ head }: Exchange, { context, proofs }: FrontTokenOptions): Promise<string | null | Denial> {
  const text = head.headers['dpop']
  if (text === undefined) return null
  const url = `${context.settings.publicUrl}${frontPaths.token}`
  return provenKey(text, { method: 'POST', url, now: context.clock() }, proofs)
}

interface AskedTokens extends Asked {
  readonly grantType: 'authorization_code' | 'refresh_token'
  readonly caller: TokenCaller
}

async function tokensFor(
  { given, grantType, caller }: AskedTokens,
  context: FrontContext,
): Promise<FrontTokens | Denial> {
  const resource = given('resource') ?? null
  if (grantType === 'refresh_token') {
    const refreshToken = new Secret(given('refresh_token') ?? '')
    const scopes =
      given('scope')
        ?.split(' ')
        .filter((one) => one !== '') ?? null
    return asDenial(await refreshFront(context, { ...caller, refreshToken, resource, scopes }))
  }
  const [code, verifier] = [new Secret(given('code') ?? ''), new Secret(given('code_verifier') ?? '')]
  const redirectUri = given('redirect_uri') ?? ''
  return asDenial(await redeemFrontCode(context, { ...caller, code, verifier, redirectUri, resource }))
}

function asDenial(result: Awaited<ReturnType<typeof refreshFront>>): FrontTokens | Denial {
  return isFrontRefusal(result) ? deny(result.code, result.why) : result
}
