/** What the driver is told for one connection: everything, because it takes what is left out from the environment. */

import { DoorwardError } from '@doorward/core'
import type { ClientConfig } from 'pg'
import type { PostgresAddress, PostgresOptions, PostgresTimes } from './options.ts'

/** All our tables, and nothing that others could put before them. */
export const schemaName = 'doorward'
const KEEPALIVE_MILLISECONDS = 10_000

/** The session's settings; the server itself gives up on a client that is gone. */
const sessionSettings = [
  `search_path=${schemaName}`,
  'TimeZone=UTC',
  'client_min_messages=warning',
  'default_transaction_isolation=read\\ committed',
  'tcp_keepalives_idle=10',
  'tcp_keepalives_interval=5',
  'tcp_keepalives_count=3',
]

export function clientConfig(
  options: PostgresOptions,
  { host, port }: PostgresAddress,
  times: PostgresTimes,
): ClientConfig {
  const { database, user, tls, applicationName } = options
  return {
    host,
    port,
    database,
    user,
    password: () => passwordOf(options),
    ssl: tls === null || host.startsWith('/') ? false : tlsOptions(tls),
    sslnegotiation: 'postgres',
    enableChannelBinding: tls !== null,
    client_encoding: 'UTF8',
    application_name: applicationName,
    keepAlive: true,
    // What does not need the answer of the statement before goes out at once.
    pipeline: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MILLISECONDS,
    statement_timeout: times.statementMilliseconds,
    lock_timeout: times.lockMilliseconds,
    idle_in_transaction_session_timeout: times.verbMilliseconds,
    options: sessionSettings.map((setting) => `-c ${setting}`).join(' '),
    types: { getTypeParser: (oid: number) => parserOf(oid) },
  }
}

function tlsOptions({ ca, own }: NonNullable<PostgresOptions['tls']>): NonNullable<ClientConfig['ssl']> {
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    ...(ca === null ? {} : { ca }),
    ...(own === null ? {} : { cert: own.certificate, key: own.key.reveal() }),
  }
}

async function passwordOf({ password }: PostgresOptions): Promise<string> {
  if (password !== null) return (await password()).reveal()
  throw new DoorwardError('store_login_refused', 'the database asks for a password and none is configured')
}

/** Object identifiers of the types that our tables have (`pg_type.oid`). */
const oid = { bytea: 17, int8: 20, int2: 21, int4: 23 } as const

function parserOf(type: number): (value: string) => string | number | Uint8Array {
  switch (type) {
    case oid.int8:
    case oid.int4:
    case oid.int2:
      return wholeNumber
    case oid.bytea:
      return (value) => Uint8Array.from(Buffer.from(value.slice('\\x'.length), 'hex'))
    default:
      return (value) => value
  }
}

function wholeNumber(value: string): number {
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new DoorwardError('store_corrupt', 'the store holds a number that is too large', { got: value })
}
