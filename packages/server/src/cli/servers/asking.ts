/** The admin API of the gateway, asked about its servers. */

import { AdminClient } from '@doorward/sdk'
import { gatewayAdminAudience } from '../../config/settings.ts'
import type { CliContext } from '../context.ts'
import { asIdentity } from '../identity-option.ts'

/** As this identity, the operator's by default. */
export async function askGateway<T>(
  context: CliContext,
  as: string | undefined,
  ask: (client: AdminClient) => Promise<T>,
): Promise<T> {
  const deployment = await context.deployment()
  const { gateway } = deployment
  const endpoint = { url: gateway.adminUrl, audience: gatewayAdminAudience(deployment), expectedId: gateway.id }
  return asIdentity(context, as, (identity) => ask(new AdminClient(identity, endpoint)))
}
