/**
 * The schema of the store: made, recognised, and moved forward. A program goes on running on a schema that a later
 * release has moved, unless that release says from which program on.
 */

import { DoorwardError } from '@doorward/core'
import { whole } from '../row.ts'
import type { Row } from '../row.ts'
import { schemaName } from './client-config.ts'
import { storeError } from './failure.ts'
import type { Session } from './session.ts'

export interface PostgresMigration {
  /** 1, 2, 3 …, each raising the schema's version by one. */
  readonly version: number
  /** The lowest version of a program, as the number of migrations that it knows, that can go on after this one. */
  readonly minimumProgram: number
  readonly sql: string
}

export interface Schema {
  /** Tells our schema from others' of the same name. */
  readonly application: string
  readonly migrations: readonly PostgresMigration[]
  /** False: a missing schema is an error, because it was there before. */
  readonly create: boolean
}

/** Two numbers of our own, so that programs that start together migrate one after the other. */
const LOCK = '1146569060, 1'

/**
 * Throws `store_missing`; `store_foreign` when the schema is not ours, or is of a database that has others' tables in
 * it; `store_newer` when this program is too old for it. The store is then left as it is.
 */
export async function migrate(session: Session, schema: Schema): Promise<void> {
  let held = await readVersion(session, schema)
  if (held === null && !schema.create) throw missing()
  const newest = schema.migrations.length
  if (held !== null && held.minimumProgram > newest) {
    throw new DoorwardError('store_newer', 'the store was moved forward by a later release', {
      where: schemaName,
      expected: `a schema that version ${newest} can use`,
      got: `version ${held.version}, for programs from ${held.minimumProgram} on`,
      next: 'start the later release',
    })
  }
  for (const migration of schema.migrations) {
    if (migration.version > (held?.version ?? 0)) held = await apply(session, schema, migration)
  }
}

interface HeldVersion {
  readonly version: number
  readonly minimumProgram: number
}

async function readVersion(session: Session, { application }: Schema): Promise<HeldVersion | null> {
  // Read as tables: `to_regnamespace` answers from a cache that does not hear of others' commits within a transaction.
  const present = await one(
    session,
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '${schemaName}') AS schema,
      EXISTS (
        SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = '${schemaName}' AND c.relname = 'store'
      ) AS store`,
  )
  if (present['schema'] !== 't') return null
  if (present['store'] !== 't') throw foreign('a schema without a mark')
  const row = await one(session, `SELECT application, version, minimum_program FROM ${schemaName}.store`)
  if (row['application'] !== application) throw foreign(String(row['application']))
  return { version: whole(row, 'version'), minimumProgram: whole(row, 'minimum_program') }
}

/** One transaction: a crash leaves the version before or after. Whoever waited for the lock finds it done. */
async function apply(session: Session, schema: Schema, migration: PostgresMigration): Promise<HeldVersion> {
  const { version, minimumProgram, sql } = migration
  // Each statement sees what was committed before it, so also what was done while the lock was waited for.
  await session.command('BEGIN ISOLATION LEVEL READ COMMITTED')
  try {
    await session.query(`SELECT pg_advisory_xact_lock(${LOCK})`, [])
    const held = await readVersion(session, schema)
    if (held !== null && held.version >= version) {
      await session.command('COMMIT')
      return held
    }
    if (held === null) await makeMark(session, schema)
    await session.command(sql)
    await session.query(
      `UPDATE ${schemaName}.store SET version = $1, minimum_program = greatest(minimum_program, $2)`,
      [version, minimumProgram],
    )
    await session.command('COMMIT')
    return { version, minimumProgram }
  } catch (error) {
    await session.command('ROLLBACK').catch(() => session.destroy())
    throw storeError(error)
  }
}

async function makeMark(session: Session, { application }: Schema): Promise<void> {
  await session.command(`
    CREATE SCHEMA ${schemaName};
    CREATE TABLE ${schemaName}.store (
      one integer PRIMARY KEY CHECK (one = 1),
      application text NOT NULL,
      version integer NOT NULL,
      minimum_program integer NOT NULL
    )`)
  await session.query(
    `INSERT INTO ${schemaName}.store (one, application, version, minimum_program) VALUES (1, $1, 0, 0)`,
    [application],
  )
}

async function one(session: Session, sql: string): Promise<Row> {
  try {
    return (await session.query(sql, [])).rows[0] ?? {}
  } catch (error) {
    throw storeError(error)
  }
}

function missing(): DoorwardError {
  return new DoorwardError('store_missing', 'the store is missing', {
    where: `schema ${schemaName}`,
    next: 'put the database back as it was; an empty store would forget denials and sequences',
  })
}

function foreign(got: string): DoorwardError {
  return new DoorwardError('store_foreign', 'the schema is not a store of this kind', {
    where: `schema ${schemaName}`,
    expected: 'a schema that Doorward has made, or none',
    got,
    next: 'name another database; nothing has been changed',
  })
}
