/** Where an authority is reached, and what its own certificate says. */

import { isIP } from 'node:net'
import { workloadId } from '@doorward/core'
import type { AuthorityPlace } from '@doorward/core'
import type { CertificateNames } from '../authority/issue.ts'
import type { NewRegistration } from '../authority/registrations.ts'
import { readAddress, showAddress } from '../config/settings.ts'
import type { ListenAddress } from './authority-listeners.ts'
import type { AuthoritySettings } from './authority-settings.ts'
import { reachedAt } from './reached-at.ts'
import type { Reached } from './reached-at.ts'

type Listening = Readonly<Record<'main' | 'enrol' | 'admin', { readonly address: ListenAddress }>>

/** As workloads reach it, and operators where that is not on this machine alone. */
export function placeOf(name: string, reached: Reached, { main, enrol, admin }: Listening): AuthorityPlace {
  const places = {
    main: reachedAt('main', reached, main.address),
    enrol: reachedAt('enrol', reached, enrol.address),
  }
  const told = reached.advertise?.admin
  return { name, ...places, ...(told === undefined ? adminPlace(admin.address, places.main) : { admin: told }) }
}

/**
 * Where nothing is advertised, operators reach the admin listener at the address at which it listens. On loopback it is told only where everything is on one
 * machine, and never where it listens on all addresses: by that name nobody reaches it.
 */
function adminPlace(admin: ListenAddress, main: string): Pick<AuthorityPlace, 'admin'> {
  const isEverywhere = admin.host === '0.0.0.0' || admin.host === '::'
  const isElsewhere = isLoopback(admin) && !isLoopback(readAddress(main))
  return isEverywhere || isElsewhere ? {} : { admin: showAddress(admin) }
}

function isLoopback({ host }: ListenAddress): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

type Named = Pick<AuthoritySettings, 'listeners' | 'advertise' | 'publicUrl'>

/**
 * Names of this authority for clients that dial by name, where it listens on all addresses none for those: the name that
 * all authorities share and its own, and no other authority's. Identity is the SPIFFE ID alone.
 */
export function ownNames({ listeners, advertise = {}, publicUrl }: Named): CertificateNames {
  const reached = Object.values(advertise).flatMap((place) => (place === undefined ? [] : [`https://${place}`]))
  const hosts = new Set([
    ...Object.values(listeners).map(({ host }) => host.toLowerCase()),
    ...[publicUrl, ...reached].map((url) => new URL(url).hostname.replaceAll(/^\[|\]$/g, '')),
  ])
  const ipAddresses = [...hosts].filter((host) => isIP(host) !== 0 && host !== '0.0.0.0' && host !== '::')
  const loopback = ipAddresses.some((address) => address === '127.0.0.1' || address === '::1') ? ['localhost'] : []
  return { dnsNames: [...new Set([...[...hosts].filter((host) => isIP(host) === 0), ...loopback])], ipAddresses }
}

/**
 * The registration that all authorities on a store have in common. It keeps their DNS names from other workloads, and says
 * nothing about certificates: each authority's own has `ownNames`. Where others may share the store, theirs stay.
 */
export function ownRegistration(
  settings: Named & Pick<AuthoritySettings, 'trustDomain' | 'database'>,
): NewRegistration {
  return {
    id: workloadId(settings.trustDomain, 'doorward', 'authority').uri,
    roles: [],
    dnsNames: ownNames(settings).dnsNames,
    // Other parts of Doorward on the same machine have them too.
    sharedNames: true,
    keepsNames: settings.database !== undefined,
  }
}
