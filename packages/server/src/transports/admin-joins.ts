/** The authority's admin API: inviting workloads and gateways. */

import { exactObject, gatewayRole, isText, workloadId } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import { shownRegistration } from '../authority/registrations.ts'
import { byOf, forOperators } from './admin-caller.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { denialOf } from './token-endpoint.ts'

const MAX_ID = 2048
const GATEWAY_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

export function joinRoutes(authority: Authority): readonly ApiRoute[] {
  return [
    {
      ...forOperators,
      method: 'POST',
      path: '/v1/join-strings',
      body: 'json',
      handle: (permit) => invite(authority, permit),
    },
    {
      ...forOperators,
      method: 'POST',
      path: '/v1/gateways',
      body: 'json',
      handle: (permit) => addGateway(authority, permit),
    },
  ]
}

async function invite(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['id'], ['token'])
  const id = body?.['id']
  const token = body?.['token']
  if (!isText(id, MAX_ID) || (token !== undefined && typeof token !== 'boolean'))
    return deny('request_invalid', 'expected id, and at most whether it has a token')
  const made = await authority.createJoinString(id, byOf(permit), token)
  if (isAuthorityRefusal(made)) return denialOf(made)
  return { kind: 'json', status: 201, value: { join_string: made.joinString.reveal(), expires_at: made.expiresAt } }
}

/** A part of Doorward: the operator says its name and where it is dialled, the authority everything else. */
async function addGateway(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['name'], ['dns_names', 'ip_addresses', 'again'])
  const name = body?.['name']
  const { dns_names = [], ip_addresses = [], again = false } = body ?? {}
  if (!isText(name, 63) || !GATEWAY_NAME.test(name) || typeof again !== 'boolean')
    return deny('request_invalid', 'expected a name of a-z 0-9 -, and at most dns_names, ip_addresses and again')
  const { uri: id } = workloadId(authority.trustDomain, 'doorward', 'gateway', name)
  // Gateways behind one name are many.
  const document = { id, roles: [gatewayRole], dns_names, ip_addresses, shared_names: true }
  const added = await authority.addRegistration({ document, again, asking: 'authority' }, byOf(permit))
  return isAuthorityRefusal(added) ? denialOf(added) : { kind: 'json', status: 201, value: shownRegistration(added) }
}
