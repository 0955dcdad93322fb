/** Where an authority is reached, and what its own certificate says. */

import { isIP } from 'node:net'
import { workloadId } from '@doorward/core'
import type { AuthorityPlace } from '@doorward/core'
import type { NewRegistration } from '../authority/registrations.ts'
import type { Listeners } from './authority-listeners.ts'
import type { AuthoritySettings } from './authority-settings.ts'
import { reachedAt } from './reached-at.ts'
import type { Reached } from './reached-at.ts'

/** As workloads reach it. */
export function placeOf(name: string, reached: Reached, { main, enrol }: Listeners): AuthorityPlace {
  return {
    name,
    main: reachedAt('main', reached, main.address),
    enrol: reachedAt('enrol', reached, enrol.address),
  }
}

/** Names for clients that dial by name; identity is the SPIFFE ID alone. */
export function ownRegistration({ trustDomain, listeners, publicUrl }: AuthoritySettings): NewRegistration {
  const hosts = new Set([
    ...Object.values(listeners).map(({ host }) => host),
    new URL(publicUrl).hostname.replaceAll(/^\[|\]$/g, ''),
  ])
  const addresses = [...hosts].filter((host) => isIP(host) !== 0)
  const loopback = addresses.some((address) => address === '127.0.0.1' || address === '::1') ? ['localhost'] : []
  return {
    id: workloadId(trustDomain, 'doorward', 'authority').uri,
    roles: [],
    dnsNames: [...new Set([...[...hosts].filter((host) => isIP(host) === 0), ...loopback])],
    ipAddresses: addresses,
    // Other parts of Doorward on the same machine have them too.
    sharedNames: true,
  }
}
