/** The listeners of a deployment that are tried with old keys: of every running authority, and of the gateway that is configured. */

import type { AuthorityPlace } from '@doorward/core'
import { gatewayAdminAudience, readAddress, serverAudience, showAddress } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import type { ProbeTarget } from './denied-keys.ts'

/** `authorities` as the newest trust state names them. */
export function probeTargets(deployment: Deployment, authorities: readonly AuthorityPlace[]): readonly ProbeTarget[] {
  const { authority, gateway, configuration } = deployment
  const [server] = Object.keys(configuration.servers)
  const admin = new URL(authority.adminUrl).host
  return [
    ...authorities.map(({ name, main }) => ({
      listener: `authority ${name} main`,
      ...at(main),
      path: '/v1/trust-state',
      audience: authority.publicUrl,
    })),
    { listener: 'authority admin', ...at(admin), path: '/v1/status', audience: authority.publicUrl },
    ...(server === undefined
      ? []
      : [
          {
            listener: 'gateway main',
            ...at(showAddress(gateway.listeners.main)),
            path: `/mcp/${server}`,
            audience: serverAudience(deployment, server),
          },
        ]),
    {
      listener: 'gateway admin',
      ...at(showAddress(gateway.listeners.admin)),
      path: '/v1/status',
      audience: gatewayAdminAudience(deployment),
    },
  ]
}

function at(address: string): Pick<ProbeTarget, 'place' | 'host' | 'method'> {
  return { place: readAddress(address), host: address, method: 'GET' }
}
