/** One connection to the server that takes writes, from its opening to its end. */

import { DoorwardError } from '@doorward/core'
import { Client, DatabaseError } from 'pg'
import type { ClientConfig } from 'pg'
import type { Row } from '../row.ts'
import { unavailable } from './failure.ts'

export type SqlValue = string | number | null | Uint8Array | readonly string[] | readonly number[]

/** Names for statements that the server parses once per session. Our statements are constants, so there are few. */
export class StatementNames {
  readonly #names = new Map<string, string>()

  of(sql: string): string {
    let name = this.#names.get(sql)
    if (name === undefined) {
      name = `s${this.#names.size}`
      this.#names.set(sql, name)
    }
    return name
  }
}

const FAREWELL_MILLISECONDS = 500

export class Session {
  readonly #client: Client
  readonly #names: StatementNames
  #usable = true
  /** Called once when the connection is lost or ended. */
  onEnd: () => void = () => undefined

  constructor(client: Client, names: StatementNames) {
    this.#client = client
    this.#names = names
    // Without a listener an idle connection that is cut would end the process.
    client.on('error', () => this.#ended())
    client.on('end', () => this.#ended())
  }

  get usable(): boolean {
    return this.#usable
  }

  /** A statement of ours, with its values apart. */
  async query(
    sql: string,
    values: readonly SqlValue[],
  ): Promise<{ readonly rows: readonly Row[]; readonly changed: number }> {
    const { rows, rowCount } = await this.#client.query<Row>({
      name: this.#names.of(sql),
      text: sql,
      values: [...values],
    })
    return { rows, changed: rowCount ?? 0 }
  }

  /** Statements without values, such as those that begin and end transactions; the tag of the last one. */
  async command(sql: string): Promise<string> {
    // The driver gives a list when there were several statements.
    const results = [await this.#client.query<Row>(sql)].flat()
    return results.at(-1)?.command ?? ''
  }

  /** Ends the connection at once; what was asked for on it rejects. */
  destroy(): void {
    this.#client.connection.stream.destroy()
    this.#ended()
  }

  /** Says farewell to the server, which has a moment to hear it. */
  async end(): Promise<void> {
    this.#usable = false
    const timer = setTimeout(() => this.destroy(), FAREWELL_MILLISECONDS)
    await this.#client.end()
    clearTimeout(timer)
  }

  #ended(): void {
    if (!this.#usable) return
    this.#usable = false
    this.onEnd()
  }
}

/** One look at what a new connection leads to. */
const lookSql = `SELECT
  pg_is_in_recovery()::int AS replica,
  current_setting('fsync') AS fsync,
  current_setting('server_encoding') AS encoding,
  current_setting('server_version_num')::int AS version,
  CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', false)
  END AS made_durable`

const OLDEST_VERSION = 140_000

/**
 * Connects and looks. Throws what the driver throws; `store_login_refused`; `store_missing` when there is no such
 * database; `store_replica` for a server that only follows another; `store_unsuitable` for one that would lose what it
 * has acknowledged, that is too old, or not in UTF-8.
 */
export async function openSession(config: ClientConfig, names: StatementNames, milliseconds: number): Promise<Session> {
  const where = `${config.host}:${config.port}`
  const client = new Client(config)
  const session = new Session(client, names)
  let late = false
  const timer = setTimeout(() => {
    late = true
    session.destroy()
  }, milliseconds)
  try {
    await client.connect()
    const [row] = (await client.query<Row>(lookSql)).rows
    checkServer(row ?? {}, where)
    return session
  } catch (error) {
    session.destroy()
    if (late) throw unavailable(`${where} did not answer within ${milliseconds} ms`)
    throw error instanceof DatabaseError ? refusal(error, config) : error
  } finally {
    clearTimeout(timer)
  }
}

function checkServer(row: Row, where: string): void {
  if (row['replica'] !== 0) throw new DoorwardError('store_replica', 'the server follows another one', { where })
  const problem =
    (row['fsync'] !== 'on' && { expected: 'fsync = on', got: `fsync = ${String(row['fsync'])}` }) ||
    (row['encoding'] !== 'UTF8' && { expected: 'a database in UTF8', got: String(row['encoding']) }) ||
    (Number(row['version']) < OLDEST_VERSION && { expected: 'PostgreSQL 14 or later', got: String(row['version']) })
  if (problem !== false)
    throw new DoorwardError('store_unsuitable', 'the server cannot hold the store', { where, ...problem })
}

/** SQLSTATE: invalid authorization, invalid password; no such database. */
const loginStates = new Set(['28000', '28P01'])
const NO_DATABASE = '3D000'

function refusal(error: DatabaseError, { user, database }: ClientConfig): Error {
  const { code = '', message } = error
  if (code === NO_DATABASE) {
    return new DoorwardError('store_missing', 'the database is missing', {
      where: String(database),
      next: 'create it, owned by the user that is configured',
    })
  }
  if (!loginStates.has(code)) return error
  return new DoorwardError('store_login_refused', 'the database does not let us in', {
    where: `user ${String(user)}, database ${String(database)}`,
    got: `${code} ${message}`,
    next: 'check user and password, and pg_hba.conf on the server',
  })
}
