/** `GET` and `DELETE /v1/grants`: what people have granted the gateway towards servers, without any token. */

import { isDoorwardError, isText } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial } from '@doorward/enforcement'
import { byOf, forOperators } from './admin-caller.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRoute } from './api-routes.ts'

export interface GrantsPort {
  list(): Promise<readonly JsonObject[]>
  /** Those that were taken away. Rejects with `grant_missing`. */
  revoke(what: { readonly id: string } | { readonly user: string }, by: string): Promise<readonly JsonObject[]>
}

const path = '/v1/grants'
const MAX_USER = 1024
const ID = /^[0-9a-f]{32}$/

export function grantsRoutes(port: GrantsPort): readonly ApiRoute[] {
  return [
    {
      ...forOperators,
      method: 'GET',
      path,
      body: 'none',
      handle: async () => ({ kind: 'json', status: 200, value: { grants: await port.list() } }),
    },
    {
      ...forOperators,
      method: 'DELETE',
      path,
      body: 'none',
      query: ['id', 'user'],
      handle: async (permit) => {
        const { query } = requestOf(permit)
        const [id, user] = [query.get('id'), query.get('user')]
        const what = id === undefined || id === null ? { user } : { id }
        if ('id' in what && (typeof user === 'string' || !ID.test(what.id ?? '')))
          return deny('request_invalid', 'expected the id of a grant, or user')
        if ('user' in what && !isText(what.user ?? undefined, MAX_USER))
          return deny('request_invalid', 'expected id or user')
        return answered(() => port.revoke(what as { readonly id: string }, byOf(permit)))
      },
    },
  ]
}

async function answered(work: () => Promise<readonly JsonObject[]>): Promise<ApiAnswer | Denial> {
  try {
    return { kind: 'json', status: 200, value: { grants: await work() } }
  } catch (error) {
    if (isDoorwardError(error, 'grant_missing')) return deny('resource_unknown', error.message)
    throw error
  }
}
