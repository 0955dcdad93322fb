/** `POST /v1/audit/hmac`: the HMAC of a value, for an operator who looks for it in the record. */

import { exactObject } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import { byOf, forOperators } from './admin-caller.ts'
import { requestOf } from './api-routes.ts'
import type { ApiRoute } from './api-routes.ts'

/** Puts the question on record as by whom, without the value; hexadecimal. Null where no rule keeps anything. */
export type HmacPort = (value: JsonValue, by: string) => Promise<string | null>

export function hmacRoute(hmac: HmacPort): ApiRoute {
  return {
    ...forOperators,
    method: 'POST',
    path: '/v1/audit/hmac',
    body: 'json',
    handle: async (permit) => {
      const { json } = requestOf(permit)
      const asked = exactObject(json ?? {}, ['value'])
      if (asked === null) return deny('request_invalid', 'expected {"value": …}')
      const answer = await hmac(asked['value'] ?? null, byOf(permit))
      if (answer === null) return deny('conflict', 'no rule of audit.keep is configured')
      return { kind: 'json', status: 200, value: { hmac: answer } }
    },
  }
}
