/** The gateway's admin API: its record, its status and its policy, for operators. */

import type { ApiRoute } from './api-routes.ts'
import { policyRoutes } from './policy-routes.ts'
import type { PolicyPort } from './policy-routes.ts'
import { recordRoute } from './record-route.ts'
import type { RecordRouteOptions } from './record-route.ts'

export interface GatewayApiOptions extends RecordRouteOptions {
  /** Values that JSON can hold, without secrets. */
  readonly status: () => object
  readonly policy: PolicyPort
}

const token = { credential: 'token', group: 'admin', body: 'none' } as const

/** `GET /v1/status`, `GET /v1/record`, and `GET` and `POST /v1/policy`. */
export function gatewayRoutes(options: GatewayApiOptions): readonly ApiRoute[] {
  return [
    {
      ...token,
      method: 'GET',
      path: '/v1/status',
      handle: async () => ({ kind: 'json', status: 200, value: options.status() }),
    },
    ...policyRoutes(options.policy),
    recordRoute(options),
  ]
}
