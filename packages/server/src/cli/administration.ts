/** The authority's admin API, as an operator. */

import type { SpiffeId } from '@doorward/core'
import { AdminClient, authorityAdminUrls } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { Deployment } from '../config/settings.ts'
import type { CliContext } from './context.ts'
import { asIdentity } from './identity-option.ts'

/** The admin API where the configuration says, or at another authority when that one is away. */
export function authorityAdmin(identity: Identity, { authority }: Pick<Deployment, 'authority'>): AdminClient {
  const { adminUrl: url, publicUrl: audience, id: expectedId } = authority
  return new AdminClient(identity, { url, audience, expectedId, others: () => authorityAdminUrls(identity) })
}

/** Runs the work as this identity, the operator's by default. A refusal ends the command with exit 1. */
export async function administer(
  context: CliContext,
  as: string | undefined,
  work: (client: AdminClient, self: SpiffeId) => Promise<void>,
): Promise<void> {
  await asIdentity(context, as, async (identity: Identity) => {
    await work(authorityAdmin(identity, await context.deployment()), identity.id)
  })
}
