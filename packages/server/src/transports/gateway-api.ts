/** The gateway's own API: its record, its status and its policy for operators, and what every caller may ask. */

import type { ApiRoute } from './api-routes.ts'
import { approvalRoutes } from './approval-routes.ts'
import type { ApprovalsPort } from './approval-routes.ts'
import { configurationRoutes } from './configuration-routes.ts'
import type { ConfigurationPort } from './configuration-routes.ts'
import { grantsRoutes } from './grants-routes.ts'
import type { GrantsPort } from './grants-routes.ts'
import { hmacRoute } from './hmac-route.ts'
import type { HmacPort } from './hmac-route.ts'
import { metricsRoute } from './metrics-route.ts'
import type { MetricsPort } from './metrics-route.ts'
import { policyRoutes } from './policy-routes.ts'
import type { PolicyPort } from './policy-routes.ts'
import { recordRoute } from './record-route.ts'
import type { RecordRouteOptions } from './record-route.ts'
import { redactionRoute } from './redaction-route.ts'
import type { RedactionPort } from './redaction-route.ts'
import { receiptRoute } from './receipt-route.ts'
import type { ReceiptRouteOptions } from './receipt-route.ts'
import { secretsRoutes } from './secrets-routes.ts'
import type { SecretsPort } from './secrets-routes.ts'
import { serversRoutes } from './servers-routes.ts'
import type { DefinitionsPort } from './servers-routes.ts'

export interface GatewayApiOptions extends RecordRouteOptions {
  /** Values that JSON can hold, without secrets. */
  readonly status: () => object
  readonly policy: PolicyPort
  readonly definitions: DefinitionsPort
  readonly configuration: ConfigurationPort
  readonly metrics: MetricsPort
  readonly redactions: RedactionPort
  readonly hmac: HmacPort
  readonly secrets: SecretsPort
  readonly approvals: ApprovalsPort
  readonly grants: GrantsPort
}

/** `GET /v1/receipt`: what every caller may ask, on the listener of the servers. */
export function gatewayCallerRoutes(options: ReceiptRouteOptions): readonly ApiRoute[] {
  return [receiptRoute(options)]
}

const token = { credential: 'token', group: 'admin', body: 'none' } as const

/**
 * `GET /v1/status`, `GET /v1/record`, `POST /v1/redactions`, `POST /v1/audit/hmac`, `GET /metrics`, `GET` and `POST` of
 * `/v1/policy` and `/v1/configuration`, and those of `/v1/servers`, `/v1/secrets`, `/v1/grants` and `/v1/approvals`.
 */
export function gatewayRoutes(options: GatewayApiOptions): readonly ApiRoute[] {
  return [
    {
      ...token,
      method: 'GET',
      path: '/v1/status',
      handle: async () => ({ kind: 'json', status: 200, value: options.status() }),
    },
    ...policyRoutes(options.policy),
    ...serversRoutes(options.definitions),
    ...configurationRoutes(options.configuration),
    ...secretsRoutes(options.secrets),
    ...approvalRoutes(options.approvals),
    ...grantsRoutes(options.grants),
    recordRoute(options),
    hmacRoute(options.hmac),
    metricsRoute(options.metrics),
    redactionRoute(options.redactions),
  ]
}
