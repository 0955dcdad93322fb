/** The authority's admin API: workloads and their join strings. */

import { exactObject, isText, principalName, readList } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import type { Registration } from '../authority/ports.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { NewRegistration } from '../authority/registrations.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { denialOf } from './authority-api.ts'

const MAX_ID = 2048
const MAX_LIST = 64
const token = { credential: 'token', group: 'admin' } as const

export function workloadRoutes(authority: Authority): readonly ApiRoute[] {
  return [
    { ...token, method: 'GET', path: '/v1/workloads', body: 'none', handle: () => list(authority) },
    { ...token, method: 'POST', path: '/v1/workloads', body: 'json', handle: (permit) => add(authority, permit) },
    {
      ...token,
      method: 'DELETE',
      path: '/v1/workloads',
      body: 'none',
      query: ['id'],
      handle: (permit) => remove(authority, permit),
    },
    { ...token, method: 'POST', path: '/v1/join-strings', body: 'json', handle: (permit) => invite(authority, permit) },
  ]
}

function shown({ id, roles, ttlSeconds, dnsNames, ipAddresses, createdAt }: Registration): object {
  return { id, roles, ttl_seconds: ttlSeconds, dns_names: dnsNames, ip_addresses: ipAddresses, created_at: createdAt }
}

async function list(authority: Authority): Promise<ApiAnswer> {
  const workloads = (await authority.registrations()).map(shown)
  return { kind: 'json', status: 200, value: { workloads } }
}

async function add(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const registration = readRegistration(requestOf(permit).json ?? {})
  if (registration === null) {
    return deny('request_invalid', 'expected id and roles, and at most ttl_seconds, dns_names and ip_addresses')
  }
  const added = await authority.addRegistration(registration, byOf(permit))
  if (isAuthorityRefusal(added)) return denialOf(added)
  return { kind: 'json', status: 201, value: shown(added) }
}

function readRegistration(value: JsonObject): NewRegistration | null {
  const body = exactObject(value, ['id', 'roles'], ['ttl_seconds', 'dns_names', 'ip_addresses'])
  if (body === null) return null
  const { id, ttl_seconds } = body
  const [roles, dnsNames, ipAddresses] = ['roles', 'dns_names', 'ip_addresses'].map((name) =>
    readTexts(body[name] ?? []),
  )
  if (!isText(id, MAX_ID) || !roles || !dnsNames || !ipAddresses) return null
  if (ttl_seconds !== undefined && typeof ttl_seconds !== 'number') return null
  return { id, roles, dnsNames, ipAddresses, ...(ttl_seconds === undefined ? {} : { ttlSeconds: ttl_seconds }) }
}

function readTexts(value: JsonValue): readonly string[] | null {
  return readList(value, MAX_LIST, (item) => (isText(item, 253) ? item : null))
}

async function remove(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const id = requestOf(permit).query.get('id')
  if (id === undefined || id.length > MAX_ID) return deny('request_invalid', 'expected the query parameter id')
  const refusal = await authority.removeRegistration(id, byOf(permit))
  return refusal === null ? { kind: 'json', status: 200, value: { removed: id } } : denialOf(refusal)
}

async function invite(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['id'])
  const id = body?.['id']
  if (!isText(id, MAX_ID)) return deny('request_invalid', 'expected exactly id')
  const made = await authority.createJoinString(id, byOf(permit))
  if (isAuthorityRefusal(made)) return denialOf(made)
  return { kind: 'json', status: 201, value: { join_string: made.joinString.reveal(), expires_at: made.expiresAt } }
}

function byOf(permit: Permit<ApiRequest>): string {
  return principalName(callerOf(permit))
}
