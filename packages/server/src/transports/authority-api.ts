/** The authority's main API: tokens, renewal and the trust state, for every registered workload. */

import { exactObject, fromBase64url, isCount, isTrustScope, toBase64 } from '@doorward/core'
import type { JsonObject, TrustScope } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import type { Follower } from '../authority/ceremony-audience.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { AuthorityRefusal } from '../authority/refusal.ts'
import { renewLabel } from '../authority/renew.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { readState } from './enrol-message.ts'
import { detectionsRoute } from './detections-route.ts'
import type { Exchange } from './exchange.ts'
import { followTrust } from './trust-stream.ts'
import { witnessRoutes } from './witness-routes.ts'
import type { WitnessPort } from './witness-routes.ts'

const MAX_AUDIENCE = 2048
const MAX_KEY = 512

/** `stopping` ends open streams, so that a shutdown does not wait for them. */
export function authorityRoutes(
  authority: Authority,
  stopping: AbortSignal,
  witness: WitnessPort,
): readonly ApiRoute[] {
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
      path: '/v1/renew',
      credential: 'token',
      group: 'write',
      body: 'json',
      handle: (permit, exchange) => renewal(authority, permit, exchange),
    },
    {
      method: 'GET',
      path: '/v1/trust-state',
      credential: 'token',
      group: 'read',
      body: 'none',
      query: ['follow'],
      handle: (permit) => trustState(authority, permit, { scope: 'callers', stopping }),
    },
    {
      method: 'GET',
      path: '/v1/trust-state/full',
      credential: 'token',
      group: 'read',
      body: 'none',
      query: ['follow'],
      handle: (permit) => trustState(authority, permit, { scope: 'full', stopping }),
    },
    {
      method: 'POST',
      path: '/v1/trust-state/ack',
      credential: 'token',
      group: 'write',
      body: 'json',
      handle: (permit) => acknowledge(authority, permit),
    },
    detectionsRoute(authority),
    ...witnessRoutes(witness),
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
  const audience = requestedAudience(requestOf(permit).form, caller.presenter.uri, exchange)
  if (typeof audience !== 'string') return audience
  const minted = await authority.token({
    id: caller.presenter.uri,
    certificateFingerprint: caller.certificateFingerprint,
    certificateNotAfter: caller.expires,
    audience,
  })
  if (isAuthorityRefusal(minted)) return denialOf(minted)
  const value = { access_token: minted.token.reveal(), token_type: 'Bearer', expires_in: minted.expiresInSeconds }
  return { kind: 'json', status: 200, value, headers: { Pragma: 'no-cache' } }
}

/** Ways to authenticate beside the certificate: RFC 6749 §2.3 allows one in a request. */
const otherCredentials = ['client_secret', 'client_assertion', 'client_assertion_type']

/** A parameter without a value counts as left out (RFC 6749 §3.2). */
function requestedAudience(form: ReadonlyMap<string, string>, callerId: string, { head }: Exchange): string | Denial {
  const given = (name: string) => form.get(name) || undefined
  const grantType = given('grant_type')
  const clientId = given('client_id')
  const audience = given('resource')
  if (head.headers['authorization'] !== undefined || otherCredentials.some((name) => given(name) !== undefined))
    return deny('request_invalid', 'expected no credential beside the client certificate')
  if (clientId !== undefined && clientId !== callerId)
    return deny('request_invalid', 'expected client_id to be the caller')
  if (grantType === undefined) return deny('request_invalid', 'expected a grant_type')
  if (grantType !== 'client_credentials') return deny('grant_unsupported', 'expected grant_type client_credentials')
  if (given('scope') !== undefined) return deny('scope_unknown', 'expected no scope')
  if (audience === undefined || audience.length > MAX_AUDIENCE)
    return deny('audience_unknown', 'expected one resource (RFC 8707)')
  return audience
}

async function renewal(
  authority: Authority,
  permit: Permit<ApiRequest>,
  exchange: Exchange,
): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['public_key', 'proof'], ['join_state'])
  const publicKey = bytesOf(body, 'public_key')
  const proof = bytesOf(body, 'proof')
  const { certificate } = exchange.connection
  const joinState = readState(body?.['join_state'])
  if (publicKey === null || proof === null || joinState === undefined)
    return deny('request_invalid', 'expected public_key and proof in base64url, and at most a join_state')
  if (certificate === null) return deny('certificate_missing', 'the connection has no certificate')
  const issued = await authority.renew({
    id: callerOf(permit).presenter.uri,
    fingerprint: certificate.fingerprint,
    currentPublicKey: certificate.publicKeySpki,
    publicKey,
    proof,
    joinState,
    exported: exchange.exportKeyingMaterial(renewLabel),
  })
  if (isAuthorityRefusal(issued)) return denialOf(issued)
  const { certificate: next, notAfter } = issued
  const state = issued.joinState === null ? {} : { join_state: issued.joinState.reveal() }
  return { kind: 'json', status: 200, value: { certificate: toBase64(next), not_after: notAfter, ...state } }
}

function bytesOf(body: JsonObject | null, name: string): Uint8Array | null {
  const value = body?.[name]
  return typeof value === 'string' && value.length <= MAX_KEY ? fromBase64url(value) : null
}

async function trustState(
  authority: Authority,
  permit: Permit<ApiRequest>,
  { scope, stopping }: { readonly scope: TrustScope; readonly stopping: AbortSignal },
): Promise<ApiAnswer | Denial> {
  const follow = requestOf(permit).query.get('follow') ?? 'false'
  if (follow !== 'true' && follow !== 'false') return deny('request_invalid', 'expected follow to be true or false')
  if (follow === 'false') {
    const published = authority.trustState()
    const { text } = scope === 'full' ? published : published.callers
    return {
      kind: 'lines',
      lines: async function* once() {
        yield text
      },
    }
  }
  const lines = followTrust(authority, { ...(await receiverOf(authority, permit)), scope })
  if (lines === null) return deny('stream_limit', 'too many subscribers')
  return { kind: 'lines', lines: (signal) => lines(AbortSignal.any([signal, stopping])) }
}

async function acknowledge(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['scope', 'delegation', 'sequence'])
  const scope = body?.['scope']
  const delegation = body?.['delegation']
  const sequence = body?.['sequence']
  if (!isCount(delegation) || !isCount(sequence) || !isTrustScope(scope))
    return deny('request_invalid', 'expected exactly scope, delegation and sequence')
  const { state } = authority.trustState()
  if (delegation > state.delegation || sequence > state.sequence)
    return deny('request_invalid', 'that state has not been published')
  authority.acknowledge({ ...(await receiverOf(authority, permit)), scope, delegation, sequence })
  return { kind: 'json', status: 204, value: null }
}

/** Which copy of which workload follows: its certificates change, and it stays the same. */
async function receiverOf(authority: Authority, permit: Permit<ApiRequest>): Promise<Omit<Follower, 'scope'>> {
  const { presenter, certificateFingerprint } = callerOf(permit)
  return { id: presenter.uri, instance: await authority.instanceOf(certificateFingerprint) }
}
