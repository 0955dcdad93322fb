/** What the probe needs to know of a deployment, as its configuration says it. */

import { AdminClient, authorityAdminUrls } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { gatewayAdminAudience, gateSettings } from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'
import type { ProbeLimits } from './configured-limits.ts'
import type { ProbeOptions } from './probe.ts'

type Known = 'authorityUrl' | 'gatewayId' | 'admin' | 'gatewayAdmin' | 'operator' | 'administration' | 'limits'

export function probeOptions(deployment: Deployment, operator: Identity): Pick<ProbeOptions, Known> {
  const { authority, gateway } = deployment
  const audience = gatewayAdminAudience(deployment)
  const others = () => authorityAdminUrls(operator)
  const own = { url: authority.adminUrl, audience: authority.publicUrl, expectedId: authority.id, others }
  return {
    authorityUrl: operator.authorityUrl,
    gatewayId: gateway.id,
    admin: new AdminClient(operator, own),
    gatewayAdmin: new AdminClient(operator, { url: gateway.adminUrl, audience, expectedId: gateway.id }),
    operator,
    administration: [
      { part: 'gateway', url: gateway.adminUrl, audience },
      { part: 'authority', url: authority.adminUrl, audience: authority.publicUrl },
    ],
    limits: limitsOf(deployment),
  }
}

/** The general ones: whether this address lies in a named network is known where it arrives. */
function limitsOf({ configuration }: Deployment): ProbeLimits {
  const { global, per_ip, per_user } = configuration.security.rate_limiting
  const { handshakes, connectionsPerAddress } = gateSettings(configuration)
  return {
    calls: { limit_ip: per_ip, limit_user: per_user, limit_global: global },
    handshakes,
    connections: connectionsPerAddress,
  }
}
