/** What the probe needs to know of a deployment, as its configuration says it. */

import { AdminClient, authorityAdminUrls } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { gatewayAdminAudience, gateSettings } from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'
import type { ProbeLimits } from './configured-limits.ts'
import type { ProbeOptions } from './probe.ts'
import { joinedByInvitation } from './scene.ts'

type Known = 'authorityUrl' | 'reached' | 'admin' | 'gatewayAdmin' | 'joined' | 'administration' | 'limits'

export function probeOptions(
  deployment: Deployment,
  operator: Identity,
): Pick<ProbeOptions, Known> & { readonly operator: Identity } {
  const { authority, gateway } = deployment
  const audience = gatewayAdminAudience(deployment)
  const others = () => authorityAdminUrls(operator)
  const own = { url: authority.adminUrl, audience: authority.publicUrl, expectedId: authority.id, others }
  const admin = new AdminClient(operator, own)
  return {
    authorityUrl: operator.authorityUrl,
    reached: async (url) => {
      const target = { method: 'GET', audience: url, expectedId: gateway.id } as const
      const { body } = await operator.call(new URL(`${url}/none`), target)
      body.resume()
    },
    admin,
    joined: joinedByInvitation(admin, operator.authorityUrl),
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
