/** The gateway's admin API: its record and its status, for operators. */

import type { ApiRoute } from './api-routes.ts'
import { recordRoute } from './record-route.ts'
import type { RecordRouteOptions } from './record-route.ts'

export interface GatewayApiOptions extends RecordRouteOptions {
  /** Values that JSON can hold, without secrets. */
  readonly status: () => object
}

const token = { credential: 'token', group: 'admin', body: 'none' } as const

/** `GET /v1/status` and `GET /v1/record`. */
export function gatewayRoutes(options: GatewayApiOptions): readonly ApiRoute[] {
  return [
    {
      ...token,
      method: 'GET',
      path: '/v1/status',
      handle: async () => ({ kind: 'json', status: 200, value: options.status() }),
    },
    recordRoute(options),
  ]
}
