/** How people name workloads, and the roles that the configuration knows. */

import { gatewayRole, parseSpiffeId, workloadId } from '@doorward/core'
import type { SpiffeId, TrustDomain } from '@doorward/core'
import type { CliContext } from '../context.ts'

export const idArgument = ['<id>', 'agent/planner, or a full SPIFFE ID'] as const

/** Throws `spiffe_id_invalid`. */
export async function idOf(context: CliContext, name: string): Promise<SpiffeId> {
  const { trustDomain } = await context.deployment()
  return name.startsWith('spiffe://') ? parseSpiffeId(name) : workloadId(trustDomain, ...name.split('/'))
}

/** The path alone; the trust domain is that of the deployment. */
export function shortId(id: string, trustDomain: TrustDomain): string {
  return id.replace(`spiffe://${trustDomain}/`, '')
}

/** A role that the configuration does not define grants nothing. */
export async function warnOfUnknownRoles(context: CliContext, roles: Iterable<string>): Promise<void> {
  const { configuration } = await context.deployment()
  const known = new Set([
    gatewayRole,
    ...configuration.security.rbac.policies.map(({ role }) => role),
    ...Object.keys(configuration.roles),
  ])
  for (const role of new Set(roles)) {
    if (!known.has(role)) context.err(`warning: the configuration defines no role ${role}; it grants nothing`)
  }
}
