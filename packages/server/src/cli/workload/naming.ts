/** How people name workloads. */

import { parseSpiffeId, workloadId } from '@doorward/core'
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
