/** How a PostgreSQL store is reached, and how long anything may take. */

import { DoorwardError } from '@doorward/core'
import type { Secret } from '@doorward/core'

export interface PostgresAddress {
  /** Name, IP address, or the folder of a Unix socket, which begins with `/`. */
  readonly host: string
  readonly port: number
}

export interface PostgresTls {
  /** PEM of the authorities that the server's certificate must chain to; null for the public ones that Node knows. */
  readonly ca: string | null
  /** For servers that ask for a client certificate. */
  readonly own: { readonly certificate: string; readonly key: Secret } | null
}

export interface PostgresTimes {
  /** From a verb's call to its answer, whatever happens to server and network. */
  readonly verbMilliseconds: number
  /** To open a connection, over all addresses. */
  readonly connectMilliseconds: number
  /** One statement, as the server measures it. */
  readonly statementMilliseconds: number
  /** For what somebody else is changing. More than a server's `deadlock_timeout`, so that a deadlock is told from a long wait. */
  readonly lockMilliseconds: number
}

export interface PostgresOptions {
  /** 1 to 8, tried in order; the first that is not a replica counts. */
  readonly addresses: readonly PostgresAddress[]
  readonly database: string
  readonly user: string
  /** Asked for each new connection, so that a password that has changed is read again. Null where the server asks for none. */
  readonly password: (() => Promise<Secret>) | null
  /** Null only where every address is loopback or a Unix socket. The server's name is always verified. */
  readonly tls: PostgresTls | null
  /** What the server shows for our sessions. */
  readonly applicationName: string
  /** Sessions at most, 1 to 8. Default 8. */
  readonly connections?: number
  readonly times?: Partial<PostgresTimes>
}

export const mostConnections = 8
const mostAddresses = 8

export const defaultTimes: PostgresTimes = {
  verbMilliseconds: 3000,
  connectMilliseconds: 2000,
  statementMilliseconds: 2000,
  lockMilliseconds: 1500,
}

/** Throws `store_options`, and `store_tls_required` when a password could cross a network in the clear. */
export function checkOptions(options: PostgresOptions): void {
  const { addresses, connections = mostConnections, tls } = options
  if (addresses.length < 1 || addresses.length > mostAddresses)
    throw wrong('addresses', `1 to ${mostAddresses}`, `${addresses.length}`)
  if (!Number.isInteger(connections) || connections < 1 || connections > mostConnections)
    throw wrong('connections', `1 to ${mostConnections}`, `${connections}`)
  for (const { host, port } of addresses) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw wrong('port', '1 to 65535', `${port}`)
    if (tls === null && !staysOnMachine(host)) {
      throw new DoorwardError('store_tls_required', 'the way to the store leaves this machine without TLS', {
        where: host,
        next: 'set the certificate authority of the database, or use a Unix socket',
      })
    }
  }
}

function wrong(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('store_options', 'the options of the store are wrong', { where, expected, got })
}

/** A name counts only when it cannot mean another machine. */
function staysOnMachine(host: string): boolean {
  return host.startsWith('/') || host === '::1' || host === 'localhost' || /^127(\.\d{1,3}){3}$/.test(host)
}
