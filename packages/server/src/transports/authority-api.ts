/** The authority's main API: tokens, renewal and the trust state, for every registered workload. */

import { exactObject, fromBase64url, isCount, isText, isTrustScope, toBase64 } from '@doorward/core'
import type { JsonObject, TrustScope } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Exchange, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import type { Follower } from '../authority/ceremony-audience.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import { renewLabel } from '../authority/renew.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { readState } from './enrol-message.ts'
import { detectionsRoute } from './detections-route.ts'
import { denialOf, tokenRoutes } from './token-endpoint.ts'
import { followTrust } from './trust-stream.ts'
import { witnessRoutes } from './witness-routes.ts'
import type { WitnessPort } from './witness-routes.ts'

const MAX_KEY = 512
const MAX_AUDIENCE = 2048

/** `stopping` ends open streams, so that a shutdown does not wait for them. */
export function authorityRoutes(
  authority: Authority,
  stopping: AbortSignal,
  witness: WitnessPort,
): readonly ApiRoute[] {
  return [
    ...tokenRoutes(authority),
    {
      method: 'POST',
      path: '/v1/renew',
      credential: 'token',
      group: 'write',
      body: 'json',
      handle: (permit, exchange) => renewal(authority, permit, exchange),
    },
    {
      method: 'POST',
      path: '/v1/jwt-svid',
      credential: 'token',
      group: 'write',
      body: 'json',
      handle: (permit) => jwtSvid(authority, permit),
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

/** `{audience}` → `{svid, expires_in}`. */
async function jwtSvid(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const audience = exactObject(requestOf(permit).json ?? {}, ['audience'])?.['audience']
  if (!isText(audience, MAX_AUDIENCE)) return deny('request_invalid', 'expected exactly audience, a text')
  const { presenter, certificateFingerprint, expires } = callerOf(permit)
  const minted = await authority.jwtSvid({
    id: presenter.uri,
    certificateFingerprint,
    certificateNotAfter: expires,
    audience,
  })
  if (isAuthorityRefusal(minted)) return denialOf(minted)
  const value = { svid: minted.token.reveal(), expires_in: minted.expiresInSeconds }
  return { kind: 'json', status: 200, value, headers: { Pragma: 'no-cache' } }
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
