/** The authority's admin API: single instances of a workload. */

import { exactObject, isText } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import { deny, isDenial } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { InstanceTarget } from '../authority/registration-instances.ts'
import { byOf, forOperators } from './admin-caller.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { denialOf } from './token-endpoint.ts'

const MAX_ID = 2048
const MAX_REASON = 200
const INSTANCE = /^[0-9a-f]{1,64}$/

export function instanceRoutes(authority: Authority): readonly ApiRoute[] {
  return [
    {
      ...forOperators,
      method: 'POST',
      path: '/v1/instances/lock',
      body: 'json',
      handle: (permit) => lock(authority, permit),
    },
    {
      ...forOperators,
      method: 'DELETE',
      path: '/v1/instances',
      body: 'none',
      query: ['id', 'instance', 'reason'],
      handle: (permit) => remove(authority, permit),
    },
  ]
}

async function lock(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['id', 'instance'], ['reason'])
  const target = readTarget(body?.['id'], body?.['instance'], body?.['reason'])
  if (isDenial(target)) return target
  const locked = await authority.lockInstance(target, byOf(permit))
  return isAuthorityRefusal(locked)
    ? denialOf(locked)
    : { kind: 'json', status: 200, value: { locked: target.instance, id: target.id } }
}

async function remove(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const { query } = requestOf(permit)
  const target = readTarget(query.get('id'), query.get('instance'), query.get('reason'))
  if (isDenial(target)) return target
  const removed = await authority.removeInstance(target, byOf(permit))
  return isAuthorityRefusal(removed)
    ? denialOf(removed)
    : { kind: 'json', status: 200, value: { removed: target.instance, id: target.id } }
}

function readTarget(
  id: JsonValue | undefined,
  instance: JsonValue | undefined,
  reason: JsonValue = 'by an operator',
): InstanceTarget | Denial {
  if (!isText(id, MAX_ID) || !isText(instance, 64) || !INSTANCE.test(instance) || !isText(reason, MAX_REASON))
    return deny('request_invalid', `expected id and instance, and at most a reason of ${MAX_REASON} characters`)
  return { id, instance, reason }
}
