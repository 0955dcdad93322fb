/** One PostgreSQL database as a store: opened with every check, migrated forward, answering in bounded time. */

import type { Row } from '../row.ts'
import { Connector } from './connector.ts'
import { failureKind, storeError, unavailable } from './failure.ts'
import { migrate } from './migrate.ts'
import type { Schema } from './migrate.ts'
import { deadline, remaining } from './deadline.ts'
import { checkOptions, defaultTimes, mostConnections } from './options.ts'
import type { PostgresOptions, PostgresTimes } from './options.ts'
import { SessionPool } from './session-pool.ts'
import type { Session, SqlValue } from './session.ts'
import { transactionOn } from './transaction.ts'
import type { Batch, Verb } from './transaction.ts'
import { WriteGroups } from './write-groups.ts'

/** A migration may have more to do than a verb, and waits for transactions of programs that run. */
const migrationTimes = { statementMilliseconds: 60_000, lockMilliseconds: 10_000, verbMilliseconds: 60_000 }

export class PostgresDatabase {
  readonly #pool: SessionPool
  readonly #groups: WriteGroups
  readonly #times: PostgresTimes
  /** Runs first in every transaction that writes; what it throws undoes all of it. */
  guard: Verb<void> = () => Promise.resolve()

  constructor(pool: SessionPool, times: PostgresTimes) {
    this.#pool = pool
    this.#times = times
    this.#groups = new WriteGroups({
      pool,
      verbMilliseconds: times.verbMilliseconds,
      guard: (transaction) => this.guard(transaction),
    })
  }

  /**
   * Runs `verb` in a transaction that no other one of this store runs beside; resolves with its result when that is
   * durable. Run again after a deadlock. Throws `store_unavailable`: then nothing of it is there, or, when the connection
   * was lost while it was committed, all of it may be.
   */
  write<T>(verb: Verb<T>): Promise<T> {
    return this.#groups.ask('alone', verb)
  }

  /** As `write`, but others that are asked for in this way run meanwhile: `verb` locks the rows that it decides on. */
  writeBeside<T>(verb: Verb<T>): Promise<T> {
    return this.#groups.ask('beside', verb)
  }

  /** As `writeBeside`, with everything else that is asked of `batch` meanwhile. */
  writeTogether<Input, Output>(batch: Batch<Input, Output>, input: Input): Promise<Output> {
    return this.#groups.askTogether(batch, input)
  }

  /** Runs `verb` against one consistent state. Throws `store_unavailable`. */
  read<T>(verb: Verb<T>): Promise<T> {
    return this.#reading(async (session) => {
      const begun = session.command('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      try {
        const [value] = await Promise.all([verb(transactionOn(session)), begun])
        return value
      } finally {
        await session.command('COMMIT')
      }
    })
  }

  /** One statement that reads. Throws `store_unavailable`. */
  all(sql: string, ...values: readonly SqlValue[]): Promise<readonly Row[]> {
    return this.#reading(async (session) => (await session.query(sql, values)).rows)
  }

  async one(sql: string, ...values: readonly SqlValue[]): Promise<Row | null> {
    return (await this.all(sql, ...values))[0] ?? null
  }

  /** Sessions that are open or being opened: never more than the options allow. */
  get sessions(): number {
    return this.#pool.size
  }

  /** Lets changes under way end, and closes. Nothing is accepted any more. */
  async close(): Promise<void> {
    await this.#groups.settled()
    await this.#pool.close()
  }

  /** A second time on another connection, when the first one has died since it was used last. */
  async #reading<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const end = deadline(this.#times.verbMilliseconds)
    for (let attempt = 1; ; attempt++) {
      const session = await this.#pool.take(remaining(end))
      let late = false
      const timer = setTimeout(() => {
        late = true
        session.destroy()
      }, remaining(end))
      try {
        return await work(session)
      } catch (error) {
        if (failureKind(error) === 'session') session.destroy()
        if (late) throw unavailable('no answer in time')
        if (session.usable || attempt > 1) throw storeError(error)
      } finally {
        clearTimeout(timer)
        this.#pool.giveBack(session)
        if (!session.usable) this.#pool.doubtIdle()
      }
    }
  }
}

/**
 * Opens or, with `schema.create`, makes the store. Throws `store_options`, `store_tls_required`, `store_unavailable`,
 * `store_login_refused`, `store_unsuitable`, `store_missing`, `store_foreign`, `store_newer`.
 */
export async function openPostgres(options: PostgresOptions, schema: Schema): Promise<PostgresDatabase> {
  checkOptions(options)
  const times = { ...defaultTimes, ...options.times }
  const connector = new Connector(options)
  const session = await connector.connect({ ...times, ...migrationTimes })
  const timer = setTimeout(() => session.destroy(), migrationTimes.verbMilliseconds)
  try {
    await migrate(session, schema)
  } finally {
    clearTimeout(timer)
    await session.end()
  }
  const pool = new SessionPool({ connector, times, most: options.connections ?? mostConnections })
  return new PostgresDatabase(pool, times)
}
