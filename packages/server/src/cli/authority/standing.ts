/** What every command about keys works with: an operator's identity, the admin API, and the deployment. */

import { AdminClient } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { Deployment } from '../../config/settings.ts'
import { asIdentity } from '../identity-option.ts'
import type { CliContext } from '../context.ts'
import { explainingRefusals } from './refusal.ts'

export interface Operating {
  readonly identity: Identity
  readonly admin: AdminClient
  readonly deployment: Deployment
}

/** Runs the work as this identity, the operator's by default. */
export function operating<T>(
  context: CliContext,
  as: string | undefined,
  work: (operating: Operating) => Promise<T>,
): Promise<T> {
  return asIdentity(context, as, (identity) =>
    explainingRefusals(async () => {
      const deployment = await context.deployment()
      const { adminUrl: url, publicUrl: audience, id: expectedId } = deployment.authority
      const admin = new AdminClient(identity, { url, audience, expectedId })
      return work({ identity, admin, deployment })
    }),
  )
}
