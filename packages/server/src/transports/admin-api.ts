/** The authority's admin API, for operators: one file per concern. */

import type { Authority } from '../authority/authority.ts'
import { ceremonyRoutes } from './admin-ceremonies.ts'
import { instanceRoutes } from './admin-instances.ts'
import { joinRoutes } from './admin-joins.ts'
import { revocationRoutes } from './admin-revocation.ts'
import { statusRoutes } from './admin-status.ts'
import { workloadRoutes } from './admin-workloads.ts'
import type { ApiRoute } from './api-routes.ts'
import { metricsRoute } from './metrics-route.ts'
import type { MetricsPort } from './metrics-route.ts'
import { policyRoutes } from './policy-routes.ts'
import type { PolicyPort } from './policy-routes.ts'
import { recordRoute } from './record-route.ts'
import type { RecordRouteOptions } from './record-route.ts'
import { redactionRoute } from './redaction-route.ts'
import type { RedactionPort } from './redaction-route.ts'
import { whileFit } from './while-fit.ts'

export interface AdminApiOptions extends RecordRouteOptions {
  readonly policy: PolicyPort
  readonly metrics: MetricsPort
  readonly redactions: RedactionPort
}

/** A policy is no decision of the authority's: it changes whether or not the authority is fit for those. */
export function adminRoutes(
  authority: Authority,
  { policy, metrics, redactions, ...record }: AdminApiOptions,
): readonly ApiRoute[] {
  const routes = [
    ...workloadRoutes(authority),
    ...joinRoutes(authority),
    ...instanceRoutes(authority),
    ...ceremonyRoutes(authority),
    ...revocationRoutes(authority.revocations),
    ...statusRoutes(authority),
    recordRoute(record),
    metricsRoute(metrics),
    redactionRoute(redactions),
  ]
  return [...whileFit(routes, () => authority.unfit()), ...policyRoutes(policy)]
}
