/** The authority's admin API, as an operator. */

import type { SpiffeId } from '@doorward/core'
import { AdminClient } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { CliContext } from './context.ts'
import { asIdentity } from './identity-option.ts'

/** Runs the work as this identity, the operator's by default. A refusal ends the command with exit 1. */
export async function administer(
  context: CliContext,
  as: string | undefined,
  work: (client: AdminClient, self: SpiffeId) => Promise<void>,
): Promise<void> {
  await asIdentity(context, as, async (identity: Identity) => {
    const { authority } = await context.deployment()
    await work(
      new AdminClient(identity, { url: authority.adminUrl, audience: authority.publicUrl, expectedId: authority.id }),
      identity.id,
    )
  })
}
