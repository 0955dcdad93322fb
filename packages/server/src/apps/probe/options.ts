/** What the probe needs to know of a deployment, as its configuration says it. */

import { AdminClient, authorityAdminUrls } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { gatewayAdminAudience, gateSettings } from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'
import type { ProbeLimits, ProbeRate } from './configured-limits.ts'
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

/** Whether this address lies in a named network is known where it arrives: of their limits and the general ones, the widest. */
export function limitsOf({ configuration }: Pick<Deployment, 'configuration'>): ProbeLimits {
  const { global, per_ip, per_user } = configuration.security.rate_limiting
  const { networks } = configuration.limits
  const gate = gateSettings(configuration)
  const gates = [gate, ...networks.map(({ cidr }) => gate.ofAddress(cidr.slice(0, cidr.indexOf('/'))))]
  const rates = [per_ip, ...networks.flatMap((network) => network.per_ip ?? [])].toSorted(
    (a, b) => perSecond(a) - perSecond(b),
  )
  const handshakes = gates.flatMap((one) => one.handshakes ?? []).toSorted((a, b) => perSecond(a) - perSecond(b))
  return {
    calls: { limit_ip: rates.at(-1) ?? per_ip, limit_user: per_user, limit_global: global },
    leastPerIp: rates[0] ?? per_ip,
    handshakes: handshakes.at(-1) ?? gate.handshakes,
    leastHandshakes: handshakes[0] ?? gate.handshakes,
    connections: Math.max(...gates.flatMap((one) => one.connectionsPerAddress ?? [])),
  }
}

function perSecond({ count, periodSeconds }: ProbeRate): number {
  return count / periodSeconds
}
