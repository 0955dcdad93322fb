/** The authority's admin API: who is an authority, by delegation of the recovery root, and ceremonies that replace keys. */

import { exactObject, isText, readList, readP256Jwk, readSignedDelegation } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import type { CeremonyProgress } from '../authority/ceremony-driver.ts'
import type { ProbeResult } from '../authority/ceremony-report.ts'
import type { NewCeremony } from '../authority/ceremony-start.ts'
import type { Canary, Ceremony, CeremonySight } from '../authority/ceremony.ts'
import type { DelegationRequest } from '../authority/delegation-request.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { AuthorityRefusal } from '../authority/refusal.ts'
import { byOf, forOperators } from './admin-caller.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { denialOf } from './token-endpoint.ts'

const MAX_NAME = 255
const MAX_REASON = 500
const MAX_EXCLUDED = 64
const MAX_AUDIENCES = 8
const MAX_PROBES = 150

export function ceremonyRoutes(authority: Authority): readonly ApiRoute[] {
  const route = (method: string, path: string, handle: Handle): ApiRoute => ({
    ...forOperators,
    method,
    path,
    body: method === 'POST' ? 'json' : 'none',
    handle: (permit) => handle(authority, permit),
  })
  return [
    { ...route('DELETE', '/v1/authorities', forget), query: ['name'] },
    route('GET', '/v1/delegation', wantedDelegation),
    route('POST', '/v1/delegation', delegate),
    route('POST', '/v1/ceremonies', start),
    route('GET', '/v1/ceremonies/newest', newest),
    route('DELETE', '/v1/ceremonies/newest', abandon),
    route('POST', '/v1/ceremonies/newest/canary', askCanary),
    route('POST', '/v1/ceremonies/newest/report', prove),
  ]
}

type Handle = (authority: Authority, permit: Permit<ApiRequest>) => Promise<ApiAnswer | Denial>

async function forget(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const name = requestOf(permit).query.get('name')
  if (!isText(name, MAX_NAME)) return deny('request_invalid', 'expected the query parameter name')
  return answer(await authority.forget(name, byOf(permit)), 200, (forgotten) => forgotten)
}

async function wantedDelegation(authority: Authority): Promise<ApiAnswer | Denial> {
  return answer(await authority.delegationRequest(), 200, requestShown)
}

function requestShown({ statement, candidates, rootFingerprint, ceremony }: DelegationRequest): object {
  const { trustDomain, version, keys, issuedAt, expiresAt } = statement
  return {
    root: rootFingerprint,
    ceremony: ceremony === null ? null : { id: ceremony.id, reason: ceremony.reason, by: ceremony.by },
    authorities: candidates.map(({ name, live, thumbprint, isNew }) => ({ name, live, thumbprint, new: isNew })),
    statement: { trust_domain: trustDomain, version, keys, issued_at: issuedAt, expires_at: expiresAt },
  }
}

async function delegate(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['delegation'])
  const signed = readSignedDelegation(body?.['delegation'])
  if (signed === null) return deny('request_invalid', 'expected exactly delegation: payload, signature and root')
  return answer(await authority.acceptDelegation(signed, byOf(permit)), 201, ({ version, keys, expiresAt }) => ({
    version,
    keys: keys.length,
    expires_at: expiresAt,
  }))
}

async function start(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const wanted = readNewCeremony(requestOf(permit).json ?? {})
  if (wanted === null)
    return deny('request_invalid', 'expected kind and reason, and at most emergency, reissue, retire, only and exclude')
  return answer(await authority.ceremonies.start(wanted, byOf(permit)), 201, ceremonyShown)
}

function readNewCeremony(value: JsonObject): NewCeremony | null {
  const body = exactObject(value, ['kind', 'reason'], ['emergency', 'reissue', 'retire', 'only', 'exclude'])
  if (body === null) return null
  const { kind, reason, emergency = false, reissue = false, retire = false, only = null, exclude = [] } = body
  const excluded = readList(exclude, MAX_EXCLUDED, readName)
  if ((kind !== 'rotate' && kind !== 'recover') || !isText(reason, MAX_REASON) || excluded === null) return null
  if (typeof emergency !== 'boolean' || typeof reissue !== 'boolean' || typeof retire !== 'boolean') return null
  if (only !== null && !isText(only, MAX_NAME)) return null
  return { kind, reason, emergency, reissue, retire, only, excluded }
}

function readName(item: JsonValue): string | null {
  return isText(item, MAX_NAME) ? item : null
}

async function newest(authority: Authority): Promise<ApiAnswer | Denial> {
  return answer(await authority.ceremonies.newest(), 200, progressShown)
}

function progressShown({ ceremony, sight, settled }: CeremonyProgress): object {
  const { canary, report } = ceremony
  return {
    ...ceremonyShown(ceremony),
    progress: { ...sightShown(sight), settled },
    canaries: canary === null ? null : canary.signed.map(canaryShown),
    canary_key: canary?.publicKey ?? null,
    report,
  }
}

function canaryShown(canary: Canary): object {
  const { kind, authority, keyId } = canary
  const shown = { kind, authority, key_id: keyId }
  return canary.kind === 'certificate'
    ? { ...shown, certificate: canary.certificate }
    : { ...shown, audience: canary.audience, token: canary.token }
}

/** A ceremony without what its old keys have signed and without its report. */
export function ceremonyShown(ceremony: Ceremony): object {
  const { id, kind, stage, emergency, reissue, retire, reason, by, only, epoch, startedAt, stages } = ceremony
  return {
    id,
    kind,
    stage,
    emergency,
    reissue,
    retire,
    reason,
    by,
    only,
    exclude: ceremony.excluded.map(({ name }) => name),
    authorities: ceremony.authorities.map(({ name }) => name),
    replaces: ceremony.replaces,
    epoch,
    started_at: startedAt,
    stages: stages.map((step) => ({ stage: step.stage, at: step.at, ...sightShown(step) })),
  }
}

function sightShown(sight: CeremonySight) {
  const { followers, acknowledged, reissued, straggling, stragglers, note } = sight
  return { followers, acknowledged, reissued, straggling, stragglers, note }
}

async function abandon(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  return answer(await authority.ceremonies.abandon(byOf(permit)), 200, ceremonyShown)
}

async function askCanary(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['public_key', 'audiences'])
  const publicKey = readP256Jwk(body?.['public_key'])
  const audiences = readList(body?.['audiences'], MAX_AUDIENCES, (item) => (isText(item, 2048) ? item : null))
  if (publicKey === null || audiences === null)
    return deny('request_invalid', `expected exactly public_key and at most ${MAX_AUDIENCES} audiences`)
  const { presenter, certificateFingerprint } = callerOf(permit)
  const asker = { publicKey, audiences, subject: presenter.uri, fingerprint: certificateFingerprint }
  return answer(await authority.ceremonies.askCanary(asker, byOf(permit)), 202, ceremonyShown)
}

async function prove(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['probes'])
  const probes = readList(body?.['probes'], MAX_PROBES, readProbe)
  if (probes === null) return deny('request_invalid', `expected exactly probes, at most ${MAX_PROBES}`)
  return answer(await authority.ceremonies.prove(probes, byOf(permit)), 201, ({ verdict, note }) => ({
    verdict,
    report: note,
  }))
}

function readProbe(value: JsonValue): ProbeResult | null {
  const body = exactObject(value, ['listener', 'address', 'attempt', 'key_id', 'got', 'ok'])
  const { listener, address, attempt, key_id, got, ok } = body ?? {}
  if (!isText(listener, MAX_NAME) || !isText(address, MAX_NAME) || !isText(attempt, MAX_NAME)) return null
  if (typeof key_id !== 'string' || key_id.length > MAX_NAME || !isText(got, MAX_NAME)) return null
  return typeof ok === 'boolean' ? { listener, address, attempt, keyId: key_id, got, ok } : null
}

function answer<T extends object>(
  result: T | AuthorityRefusal,
  status: number,
  shown: (value: T) => object,
): ApiAnswer | Denial {
  if (!isAuthorityRefusal(result)) return { kind: 'json', status, value: shown(result) }
  // Whoever replaces keys may know why not.
  return denialOf({ ...result, details: { said: result.explanation } })
}
