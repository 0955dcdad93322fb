/** The token endpoint: client credentials (RFC 6749 §4.4) and the exchange for a person or a caller (RFC 8693), and the sign-in. */

import {
  exactObject,
  fromBase64url,
  isJsonObject,
  isSeconds,
  isText,
  readP256Jwk,
  readScopeText,
  scanJson,
  Secret,
  utf8,
} from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { deny, isDenial } from '@doorward/enforcement'
import type { Denial, Exchange, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import type { MintedToken } from '../authority/exchange-token.ts'
import type { PresentedProof } from '../authority/login-key.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { AuthorityRefusal } from '../authority/refusal.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

const MAX_AUDIENCE = 2048
const MAX_TOKEN = 8192
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT = 'urn:ietf:params:oauth:token-type:jwt'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const RANDOM = /^[A-Za-z0-9_-]{43}$/

export function tokenRoutes(authority: Authority): readonly ApiRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/token',
      credential: 'certificate',
      group: 'write',
      body: 'form',
      refusals: 'oauth',
      handle: (permit, exchange) => token(authority, permit, exchange),
    },
    {
      method: 'POST',
      path: '/v1/login',
      credential: 'token',
      group: 'write',
      body: 'json',
      handle: (permit) => login(authority, permit),
    },
  ]
}

/** An authority's refusal as a denial of the same code. */
export function denialOf({ code, explanation, details }: AuthorityRefusal): Denial {
  return deny(code, explanation, details === undefined ? {} : { details })
}

/** RFC 6749 §4.4 and §5.1. Parameters that the specifications do not name are ignored. */
async function token(
  authority: Authority,
  permit: Permit<ApiRequest>,
  exchange: Exchange,
): Promise<ApiAnswer | Denial> {
  const caller = callerOf(permit)
  const { form } = requestOf(permit)
  const asked = requested(form, caller.presenter.uri, exchange)
  if (isDenial(asked)) return asked
  const request = {
    id: caller.presenter.uri,
    certificateFingerprint: caller.certificateFingerprint,
    certificateNotAfter: caller.expires,
    audience: asked.audience,
    scope: asked.scope,
    mayAct: asked.mayAct,
  }
  const { behalf } = asked
  if (behalf === null) return answerOf(await authority.token(request), {})
  const minted =
    'identity' in behalf
      ? authority.userToken({ ...request, ...behalf })
      : authority.delegatedToken({ ...request, ...behalf })
  return answerOf(await minted, { issued_token_type: ACCESS_TOKEN })
}

function answerOf(minted: MintedToken | AuthorityRefusal, more: object): ApiAnswer | Denial {
  if (isAuthorityRefusal(minted)) return denialOf(minted)
  const { token: value, expiresInSeconds, scope } = minted
  const narrowed = scope === undefined ? {} : { scope }
  const body = {
    access_token: value.reveal(),
    token_type: 'Bearer',
    expires_in: expiresInSeconds,
    ...narrowed,
    ...more,
  }
  return { kind: 'json', status: 200, value: body, headers: { Pragma: 'no-cache' } }
}

/** Ways to authenticate beside the certificate: RFC 6749 §2.3 allows one in a request. */
const otherCredentials = ['client_secret', 'client_assertion', 'client_assertion_type']

/** On whose behalf: a person who has signed in, or whoever has shown us a token. */
type Behalf = { readonly identity: Secret; readonly proof: PresentedProof } | { readonly subjectToken: Secret }

interface Asked {
  readonly audience: string
  readonly scope: readonly string[] | null
  readonly mayAct: readonly string[] | null
  /** Null: for the workload itself. */
  readonly behalf: Behalf | null
}

type Given = (name: string) => string | undefined

/** A parameter without a value counts as left out (RFC 6749 §3.2). */
function requested(form: ReadonlyMap<string, string>, callerId: string, { head }: Exchange): Asked | Denial {
  const given: Given = (name) => form.get(name) || undefined
  const grantType = given('grant_type')
  const clientId = given('client_id')
  const audience = given('resource')
  if (head.headers['authorization'] !== undefined || otherCredentials.some((name) => given(name) !== undefined))
    return deny('request_invalid', 'expected no credential beside the client certificate')
  if (clientId !== undefined && clientId !== callerId)
    return deny('request_invalid', 'expected client_id to be the caller')
  if (grantType === undefined) return deny('request_invalid', 'expected a grant_type')
  if (grantType !== 'client_credentials' && grantType !== EXCHANGE)
    return deny('grant_unsupported', `expected grant_type client_credentials or ${EXCHANGE}`)
  const scope = given('scope')
  const words = scope === undefined ? null : readScopeText(scope)
  if (scope !== undefined && words === null) return deny('scope_unknown', 'expected permissions, one space between')
  if (audience === undefined || audience.length > MAX_AUDIENCE)
    return deny('audience_unknown', 'expected one resource (RFC 8707)')
  const behalf = grantType === 'client_credentials' ? null : behalfOf(given)
  if (behalf !== null && isDenial(behalf)) return behalf
  return { audience, scope: words, mayAct: mayActOf(given('may_act')), behalf }
}

/** SPIFFE IDs, one space between; `none` for nobody. */
function mayActOf(text: string | undefined): readonly string[] | null {
  if (text === undefined) return null
  return text === 'none' ? [] : text.split(' ')
}

/** Nobody but the holder of the connection acts: there is no `actor_token` (RFC 8693 §2.1). */
function behalfOf(given: Given): Behalf | Denial {
  const subject = given('subject_token')
  const type = given('subject_token_type')
  if (given('actor_token') !== undefined || given('actor_token_type') !== undefined)
    return deny('request_invalid', 'expected no actor_token: the actor is who holds the connection')
  if ((type !== JWT && type !== ACCESS_TOKEN) || (given('requested_token_type') ?? ACCESS_TOKEN) !== ACCESS_TOKEN)
    return deny('request_invalid', `expected subject_token_type ${ACCESS_TOKEN} or ${JWT}, for an access token`)
  if (subject === undefined || subject.length > MAX_TOKEN)
    return deny('request_invalid', `expected a subject_token of at most ${MAX_TOKEN} characters`)
  if (type === ACCESS_TOKEN) return { subjectToken: new Secret(subject) }
  const proof = proofOf(jsonOf(given('login_proof')))
  if (proof === null) return deny('request_invalid', 'expected login_proof as JSON with key, issued_at and signature')
  return { identity: new Secret(subject), proof }
}

function jsonOf(text: string | undefined): JsonValue | undefined {
  const scan = scanJson(utf8(text ?? ''), { maxBytes: 1024, maxDepth: 3, maxKeys: 16 })
  return scan.ok ? scan.value : undefined
}

function proofOf(value: JsonValue | undefined): PresentedProof | null {
  const proof = exactObject(value, ['key', 'issued_at', 'signature'])
  const key = readP256Jwk(proof?.['key'])
  const issuedAt = proof?.['issued_at']
  const text = proof?.['signature']
  const signature = isText(text, 128) ? fromBase64url(text) : null
  return key === null || !isSeconds(issuedAt) || signature === null ? null : { key, issuedAt, signature }
}

/** `{id_token, random, proof: {key, issued_at, signature}}` → `{user_identity, expires_at, user: {issuer, subject, groups}}`. */
async function login(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body: JsonObject = requestOf(permit).json ?? {}
  const read = exactObject(body, ['id_token', 'random', 'proof'])
  const { id_token: idToken, random } = read ?? {}
  const proof = isJsonObject(read ?? undefined) ? proofOf(body['proof']) : null
  if (!isText(idToken, MAX_TOKEN) || !isText(random, 64) || !RANDOM.test(random) || proof === null)
    return deny('request_invalid', 'expected id_token, random of 32 bytes, and proof with key, issued_at and signature')
  const { presenter, certificateFingerprint } = callerOf(permit)
  const signedIn = await authority.login({
    id: presenter.uri,
    certificateFingerprint,
    idToken: new Secret(idToken),
    random,
    proof,
  })
  if (isAuthorityRefusal(signedIn)) return denialOf(signedIn)
  const { identity, expires, user } = signedIn
  const { issuer, subject, groups } = user
  const value = { user_identity: identity.reveal(), expires_at: expires, user: { issuer, subject, groups } }
  return { kind: 'json', status: 200, value, headers: { Pragma: 'no-cache' } }
}
