/** One SQLite file: opened with every check, migrated forward, written in groups that share one sync to disk. */

import { closeSync, constants, fchmodSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import { DoorwardError } from '@doorward/core'
import type { Row } from '../row.ts'

export interface Migration {
  /** 1, 2, 3 …, each raising the file's version by one. */
  readonly version: number
  readonly sql: string
}

export interface SqliteOptions {
  /** Path of the file, or `:memory:`. */
  readonly path: string
  /** Number that tells our files from others' (`PRAGMA application_id`). */
  readonly applicationId: number
  readonly migrations: readonly Migration[]
  /** False: a missing file is an error, because it was there before. */
  readonly create: boolean
}

interface Waiting {
  readonly run: () => void
  /** Called after the commit, or with why there was none. */
  readonly settle: (failure: Error | null) => void
}

/**
 * Verbs that are asked for together are committed together, each in its own savepoint: a verb that throws undoes
 * only itself, and none resolves before the group is on disk.
 */
export class SqliteDatabase {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  #waiting: Waiting[] = []
  #scheduled = false
  /** Runs first in every transaction that writes; what it throws undoes all of it. */
  guard: () => void = () => undefined

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  /** Runs `verb` in a transaction of its own; resolves with its result when that is durable. Throws `store_unavailable`. */
  write<T>(verb: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: { readonly value: T } | { readonly error: unknown } | null = null
      this.#waiting.push({
        run: () => {
          this.run('SAVEPOINT verb')
          try {
            result = { value: verb() }
            this.run('RELEASE verb')
          } catch (error) {
            result = { error }
            this.#database.exec('ROLLBACK TO verb; RELEASE verb')
          }
        },
        settle: (failure) => {
          if (failure !== null) reject(failure)
          else if (result !== null && 'value' in result) resolve(result.value)
          else reject(storeError(result?.error))
        },
      })
      if (this.#scheduled) return
      this.#scheduled = true
      setImmediate(() => this.#flush())
    })
  }

  /** Runs `verb` against one consistent state. Throws `store_unavailable`. */
  async read<T>(verb: () => T): Promise<T> {
    try {
      this.run('BEGIN')
      try {
        return verb()
      } finally {
        this.run('COMMIT')
      }
    } catch (error) {
      throw storeError(error)
    }
  }

  all(sql: string, ...values: readonly SQLInputValue[]): readonly Row[] {
    return this.#statement(sql).all(...values) as readonly Row[]
  }

  one(sql: string, ...values: readonly SQLInputValue[]): Row | null {
    return (this.#statement(sql).get(...values) as Row | undefined) ?? null
  }

  /** Number of rows changed. */
  run(sql: string, ...values: readonly SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes)
  }

  /** Commits what is waiting and closes the file. */
  close(): void {
    if (!this.#database.isOpen) return
    this.#flush()
    this.#database.close()
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #flush(): void {
    this.#scheduled = false
    const group = this.#waiting
    this.#waiting = []
    if (group.length === 0) return
    let failure: Error | null = null
    try {
      this.run('BEGIN IMMEDIATE')
      this.guard()
      for (const waiting of group) waiting.run()
      this.run('COMMIT')
    } catch (error) {
      failure = storeError(error)
      this.#rollBack()
    }
    for (const waiting of group) waiting.settle(failure)
  }

  /** Closed files and full disks may have ended the transaction already. */
  #rollBack(): void {
    if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec('ROLLBACK')
  }
}

/**
 * Opens the file with mode 0600, write-ahead log and full syncs. Throws `store_missing`, `store_foreign` (not ours,
 * or not SQLite), `store_corrupt`, `store_newer` (written by a later release); the file is then left as it is.
 */
export function openSqlite(options: SqliteOptions): SqliteDatabase {
  if (options.path !== ':memory:') prepareFile(options)
  const database = new DatabaseSync(options.path, { timeout: 5000, enableForeignKeyConstraints: true })
  try {
    checkFile(database, options)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
    migrate(database, options)
    return new SqliteDatabase(database)
  } catch (error) {
    database.close()
    throw error instanceof DoorwardError ? error : storeError(error)
  }
}

function prepareFile({ path, create }: SqliteOptions): void {
  try {
    const flags = constants.O_RDWR | constants.O_NOFOLLOW | (create ? constants.O_CREAT : 0)
    const file = openSync(path, flags, 0o600)
    fchmodSync(file, 0o600)
    closeSync(file)
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new DoorwardError(
      missing ? 'store_missing' : 'store_unavailable',
      missing ? 'the store is missing' : 'the store cannot be opened',
      {
        where: path,
        got: error instanceof Error ? error.message : String(error),
        ...(missing
          ? { next: 'put the state folder back as it was; an empty store would forget denials and sequences' }
          : {}),
      },
    )
  }
}

function checkFile(database: DatabaseSync, options: SqliteOptions): void {
  let applicationId: number
  let version: number
  let empty: boolean
  try {
    applicationId = pragma(database, 'application_id')
    version = pragma(database, 'user_version')
    empty = pragma(database, 'schema_version') === 0
    if (empty && applicationId === 0 && version === 0) return
    const answer = database.prepare('PRAGMA quick_check(1)').get() as Row
    if (Object.values(answer)[0] !== 'ok') throw new Error(String(Object.values(answer)[0]))
  } catch (error) {
    throw fileError('store_corrupt', 'the store is damaged', options, {
      expected: 'a sound SQLite file',
      got: error instanceof Error ? error.message : String(error),
    })
  }
  if (applicationId !== options.applicationId) {
    throw fileError('store_foreign', 'the file is not a store of this kind', options, {
      expected: `application id ${options.applicationId}`,
      got: `${applicationId}`,
    })
  }
  const newest = options.migrations.length
  if (version > newest) {
    throw fileError('store_newer', 'the store was written by a later release', options, {
      expected: `version ${newest} or lower`,
      got: `${version}`,
    })
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() as Row)[0])
}

/** Each migration and its version number are one transaction: a crash leaves the version before or after. */
function migrate(database: DatabaseSync, { applicationId, migrations }: SqliteOptions): void {
  for (const { version, sql } of migrations) {
    if (pragma(database, 'user_version') >= version) continue
    database.exec(
      `BEGIN IMMEDIATE; ${sql}; PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}; COMMIT`,
    )
  }
}

interface Difference {
  readonly expected: string
  readonly got: string
}

function fileError(
  code: string,
  message: string,
  { path }: SqliteOptions,
  { expected, got }: Difference,
): DoorwardError {
  return new DoorwardError(code, message, {
    where: path,
    expected,
    got,
    next: 'put the right file back; nothing has been changed',
  })
}

/** Our own errors pass; what SQLite throws becomes one code, because callers can do nothing else about it. */
function storeError(error: unknown): DoorwardError {
  if (error instanceof DoorwardError) return error
  return new DoorwardError('store_unavailable', 'the store failed', {
    got: error instanceof Error ? error.message : String(error),
    cause: error,
  })
}
