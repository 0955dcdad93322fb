/** What every route of the admin API demands, and who calls it. */

import { principalName } from '@doorward/core'
import type { Permit } from '@doorward/enforcement'
import { callerOf } from './api-routes.ts'
import type { ApiRequest, ApiRoute } from './api-routes.ts'

export const forOperators = { credential: 'token', group: 'admin' } as const satisfies Partial<ApiRoute>

/** For the record: by whom a change is made. */
export function byOf(permit: Permit<ApiRequest>): string {
  return principalName(callerOf(permit))
}
