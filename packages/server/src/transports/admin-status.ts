/** The authority's admin API: how it stands. */

import type { Authority } from '../authority/authority.ts'
import type { ApiAnswer, ApiRoute } from './api-routes.ts'

export function statusRoutes(authority: Authority): readonly ApiRoute[] {
  return [
    {
      credential: 'token',
      group: 'admin',
      method: 'GET',
      path: '/v1/status',
      body: 'none',
      handle: () => status(authority),
    },
  ]
}

async function status(authority: Authority): Promise<ApiAnswer> {
  const {
    trustDomain,
    delegation,
    delegationExpiresAt,
    sequence,
    epoch,
    slots,
    workloads,
    certificates,
    acks,
    stragglers,
  } = await authority.status()
  const value = {
    trust_domain: trustDomain,
    trust_state: { delegation, sequence, epoch, delegation_expires_at: delegationExpiresAt },
    slots: slots.map(({ purpose, keyId, state, notAfter }) => ({ purpose, key_id: keyId, state, not_after: notAfter })),
    workloads,
    certificates,
    acks,
    stragglers,
  }
  return { kind: 'json', status: 200, value }
}
