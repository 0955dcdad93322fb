/**
 * Names of OAuth clients at the edge: no workload holds a certificate for one. They are written as SPIFFE IDs so that
 * policies, quotas, denials and the record speak of them as of every other presenter.
 */

import { workloadId } from './spiffe-id.ts'
import type { SpiffeId, TrustDomain } from './spiffe-id.ts'

const FOLDER = 'edge'

/** What a client is called that the configuration does not list. */
export const unlistedClient = 'unlisted'

/** `spiffe://<trust domain>/edge/<name>`. Throws `spiffe_id_invalid`. */
export function edgeClientId(trustDomain: TrustDomain, name: string): SpiffeId {
  return workloadId(trustDomain, FOLDER, name)
}

/** True for every ID below `/edge/`, which is never registered. */
export function isEdgeId({ segments }: Pick<SpiffeId, 'segments'>): boolean {
  return segments[0] === FOLDER
}
