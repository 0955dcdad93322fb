/** The database of the authority's store, as configuration names it; its files are read here. */

import { readFile, stat } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import { DoorwardError, Secret } from '@doorward/core'
import { openToOthers } from './credentials-directory.ts'
import type { Deployment } from './settings.ts'
import { readAddress } from './settings.ts'

/** Shapes as the store's options ask for them. */
export interface DatabasePlace {
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  readonly database: string
  readonly user: string
  readonly password: (() => Promise<Secret>) | null
  readonly tls: { readonly ca: string; readonly own: null } | null
  readonly connections: number
}

const SOCKET_PORT = 5432
const MAX_FILE = 64 * 1024

/** Null when the configuration names none. Throws `database_file` for a file that cannot be used. */
export async function databasePlace({ configuration, folder }: Deployment): Promise<DatabasePlace | null> {
  const { database } = configuration.authority
  if (database === undefined) return null
  const at = (path: string) => (isAbsolute(path) ? path : resolve(folder, path))
  const { password_file, ca_file } = database
  return {
    addresses: database.addresses.map((text) =>
      text.startsWith('/') ? { host: text, port: SOCKET_PORT } : readAddress(text),
    ),
    database: database.name,
    user: database.user,
    password: password_file === undefined ? null : () => readPassword(at(password_file)),
    tls: ca_file === undefined ? null : { ca: await readBounded(at(ca_file)), own: null },
    connections: database.connections,
  }
}

async function readPassword(path: string): Promise<Secret> {
  const status = await stat(path).catch((error: unknown) => {
    throw unusable(path, error instanceof Error ? error.message : String(error))
  })
  if (openToOthers(status)) throw unusable(path, `mode ${(status.mode & 0o777).toString(8)}`)
  return new Secret((await readBounded(path)).replace(/\r?\n$/, ''))
}

async function readBounded(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw unusable(path, error instanceof Error ? error.message : String(error))
  })
  if (text.length > MAX_FILE) throw unusable(path, `${text.length} characters`)
  return text
}

function unusable(where: string, got: string): DoorwardError {
  return new DoorwardError('database_file', 'a file of the database cannot be used', {
    where,
    expected: `a file of at most ${MAX_FILE} characters that nobody else can read`,
    got,
    next: 'correct the path in authority.database, or chmod 600 the file',
  })
}
