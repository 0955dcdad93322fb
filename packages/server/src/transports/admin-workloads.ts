/** The authority's admin API: registered workloads. */

import type { JsonObject } from '@doorward/core'
import { isCount } from '@doorward/core'
import { deny, isDenial } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import { isAttestationKind, mostPerPage } from '../authority/registration-search.ts'
import type { RegistrationQuery } from '../authority/registration-search.ts'
import { shownRegistration } from '../authority/registrations.ts'
import { byOf, forOperators } from './admin-caller.ts'
import { shownDetail } from './admin-workload-detail.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { denialOf } from './token-endpoint.ts'

const MAX_ID = 2048
const MAX_ROLE = 64
const PER_PAGE = 200

export function workloadRoutes(authority: Authority): readonly ApiRoute[] {
  const path = '/v1/workloads'
  return [
    {
      ...forOperators,
      method: 'GET',
      path,
      body: 'none',
      query: ['under', 'role', 'attestation', 'after', 'limit'],
      handle: (permit) => list(authority, permit),
    },
    { ...forOperators, method: 'POST', path, body: 'json', handle: (permit) => add(authority, permit) },
    { ...forOperators, method: 'PUT', path, body: 'json', handle: (permit) => replace(authority, permit) },
    {
      ...forOperators,
      method: 'DELETE',
      path,
      body: 'none',
      query: ['id', 'revision'],
      handle: (permit) => remove(authority, permit),
    },
    {
      ...forOperators,
      method: 'GET',
      path: '/v1/workload',
      body: 'none',
      query: ['id'],
      handle: (permit) => show(authority, permit),
    },
  ]
}

async function list(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const query = readQuery(requestOf(permit).query)
  if (isDenial(query)) return query
  const { registrations, next } = await authority.findRegistrations(query)
  return { kind: 'json', status: 200, value: { workloads: registrations.map(shownRegistration), next } }
}

function readQuery(given: ReadonlyMap<string, string>): RegistrationQuery | Denial {
  const limit = readWhole(given.get('limit') ?? String(PER_PAGE))
  if (limit === null || limit < 1 || limit > mostPerPage)
    return deny('request_invalid', `expected limit to be 1 to ${mostPerPage}`)
  const attestation = given.get('attestation') ?? null
  if (attestation !== null && !isAttestationKind(attestation))
    return deny('request_invalid', 'expected attestation to be join_token, bound_key, x509_pop or oidc')
  const [under = null, after = null, role = null] = ['under', 'after', 'role'].map((name) => given.get(name))
  if ([under, after].some((id) => id !== null && id.length > MAX_ID) || (role !== null && role.length > MAX_ROLE))
    return deny('request_invalid', 'expected shorter values')
  return { under, after, role, attestation, limit }
}

/** A whole number as it is usually written. */
function readWhole(text: string): number | null {
  return /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : null
}

async function show(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const id = idOf(permit)
  if (isDenial(id)) return id
  const detail = await authority.showRegistration(id.text)
  return isAuthorityRefusal(detail) ? denialOf(detail) : { kind: 'json', status: 200, value: shownDetail(detail) }
}

function idOf(permit: Permit<ApiRequest>): { readonly text: string } | Denial {
  const text = requestOf(permit).query.get('id')
  if (text === undefined || text.length > MAX_ID) return deny('request_invalid', 'expected the query parameter id')
  return { text }
}

async function add(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const { again = false, ...document } = bodyOf(permit)
  if (typeof again !== 'boolean') return deny('request_invalid', 'expected again to be true or false')
  const added = await authority.addRegistration({ document, again, asking: 'operator' }, byOf(permit))
  return isAuthorityRefusal(added) ? denialOf(added) : { kind: 'json', status: 201, value: shownRegistration(added) }
}

async function replace(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const { revision, ...document } = bodyOf(permit)
  if (!isCount(revision)) return deny('request_invalid', 'expected the revision that was seen')
  const updated = await authority.updateRegistration({ document, revision, asking: 'operator' }, byOf(permit))
  return isAuthorityRefusal(updated)
    ? denialOf(updated)
    : { kind: 'json', status: 200, value: shownRegistration(updated) }
}

function bodyOf(permit: Permit<ApiRequest>): JsonObject {
  return requestOf(permit).json ?? {}
}

async function remove(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const id = idOf(permit)
  if (isDenial(id)) return id
  const seen = requestOf(permit).query.get('revision')
  const revision = seen === undefined ? null : readWhole(seen)
  if (seen !== undefined && revision === null) return deny('request_invalid', 'expected revision to be a number')
  const removed = await authority.removeRegistration({ id: id.text, revision }, byOf(permit))
  if (isAuthorityRefusal(removed)) return denialOf(removed)
  const { instances, certificates, joinTokens } = removed
  const value = { removed: removed.id, ended: { instances, certificates, join_tokens: joinTokens } }
  return { kind: 'json', status: 200, value }
}
