/** Which databases are taken for a store, and how programs of two releases share one. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { epochMillis, isDoorwardError, Secret } from '@doorward/core'
import {
  authorityApplication,
  authorityMigrations,
  openPostgresAuthorityStore,
} from '../../packages/server/src/storage/postgres/authority-store.ts'
import { openPostgres } from '../../packages/server/src/storage/postgres/database.ts'
import type { PostgresMigration } from '../../packages/server/src/storage/postgres/migrate.ts'
import { checkOptions } from '../../packages/server/src/storage/postgres/options.ts'
import type { PostgresOptions } from '../../packages/server/src/storage/postgres/options.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'
import { a, registration } from './authority-store/values.ts'

const server = await PostgresServer.start()
after(() => server.remove())

function open(database: string, create: boolean, more: Partial<PostgresOptions> = {}) {
  return openPostgresAuthorityStore(storeOptions(server, { database, ...more }), { create })
}

async function tablesOf(database: string): Promise<readonly unknown[]> {
  return server.query(
    "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    database,
  )
}

test('a store that was there before is not made anew', async () => {
  const database = await server.createDatabase()
  await assert.rejects(open(database, false), { code: 'store_missing' })
  assert.deepEqual(await tablesOf(database), [])
  await (await open(database, true)).close()
  await (await open(database, false)).close()
  await assert.rejects(open('none', true), { code: 'store_missing' })
})

test('a schema that is not ours is refused and left as it is', async () => {
  const foreign = await server.createDatabase()
  await server.query('CREATE SCHEMA doorward; CREATE TABLE doorward.theirs (x integer)', foreign)
  await assert.rejects(open(foreign, true), { code: 'store_foreign' })
  assert.equal((await tablesOf(foreign)).length, 1)
  const other = await server.createDatabase()
  await (await open(other, true)).close()
  await server.query("UPDATE doorward.store SET application = 'doorward gateway'", other)
  await assert.rejects(open(other, true), { code: 'store_foreign' })
})

test('tables of others beside ours are of no consequence', async () => {
  const database = await server.createDatabase()
  await server.query('CREATE TABLE registrations (x integer); CREATE TABLE public.store (x integer)', database)
  const store = await open(database, true)
  assert.equal(await store.registrations.add(registration(a), 10), 'added')
  await store.close()
})

test('programs that start together on an empty database make one store', async () => {
  const database = await server.createDatabase()
  const stores = await Promise.all(Array.from({ length: 6 }, () => open(database, true)))
  const added = await Promise.all(stores.map(({ registrations }) => registrations.add(registration(a), 10)))
  assert.equal(added.filter((outcome) => outcome === 'added').length, 1)
  await Promise.all(stores.map((store) => store.close()))
})

/** The next release: its schema has a table more, and columns more in tables that this release reads and writes. */
function nextRelease(database: string, minimumProgram: number) {
  const next: PostgresMigration = {
    version: authorityMigrations.length + 1,
    minimumProgram,
    sql: `CREATE TABLE novelties (x bigint);
      ALTER TABLE registrations ADD COLUMN novelty bigint NOT NULL DEFAULT 7;
      ALTER TABLE issuance ADD COLUMN novelty bigint`,
  }
  const schema = { application: authorityApplication, migrations: [...authorityMigrations, next], create: false }
  return openPostgres(storeOptions(server, { database }), schema)
}

test('a program goes on, and starts again, on a schema that a later release has moved forward', async () => {
  const database = await server.createDatabase()
  const store = await open(database, true)
  await store.registrations.add(registration(a), 10)
  await store.registrations.list()
  await (await nextRelease(database, 1)).close()
  assert.deepEqual(await store.registrations.list(), [registration(a)])
  assert.equal(await store.registrations.add(registration('spiffe://t/b'), 10), 'added')
  const again = await open(database, false)
  assert.equal((await again.registrations.list()).length, 2)
  assert.deepEqual(await server.query('SELECT version FROM doorward.store', database), [
    { version: authorityMigrations.length + 1 },
  ])
  await Promise.all([store.close(), again.close()])
})

test('a store of before tells receivers apart, and a program of before goes on beside it', async () => {
  const database = await server.createDatabase()
  const before = { application: authorityApplication, migrations: authorityMigrations.slice(0, 1), create: true }
  const old = await openPostgres(storeOptions(server, { database }), before)
  const oldAck = "INSERT INTO acks VALUES ('a', 'full', 1, 1, 1, 'main') ON CONFLICT (id, scope) DO NOTHING"
  const oldRow = () => old.write((tx) => tx.run(oldAck))
  await oldRow()
  const store = await open(database, false)
  const ack = { id: a, scope: 'full', delegation: 1, sequence: 1, at: epochMillis(1), authority: 'main' } as const
  const acks = ['01', '02'].map((instance) => ({ ...ack, instance }))
  await store.acks.put(acks)
  assert.deepEqual(await store.acks.list(), acks)
  await oldRow()
  await Promise.all([old.close(), store.close()])
})

test('a program that is too old for the schema is refused by name', async () => {
  const database = await server.createDatabase()
  await (await open(database, true)).close()
  await (await nextRelease(database, authorityMigrations.length + 1)).close()
  await assert.rejects(open(database, false), { code: 'store_newer' })
})

test('a migration that fails leaves the store as it was', async () => {
  const database = await server.createDatabase()
  await (await open(database, true)).close()
  const broken = {
    version: authorityMigrations.length + 1,
    minimumProgram: 9,
    sql: 'CREATE TABLE half (x integer); SELECT 1 / 0',
  }
  const schema = { application: authorityApplication, migrations: [...authorityMigrations, broken], create: false }
  await assert.rejects(openPostgres(storeOptions(server, { database }), schema), { code: 'store_unavailable' })
  assert.deepEqual(await server.query("SELECT to_regclass('doorward.half') AS half", database), [{ half: null }])
  await (await open(database, false)).close()
})

test('a server that would lose what it has acknowledged, or that spells text otherwise, holds no store', async () => {
  await server.query("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
  await assert.rejects(open('ascii', true), { code: 'store_unsuitable' })
  const database = await server.createDatabase()
  await server.query(`ALTER DATABASE ${database} SET synchronous_commit = off`)
  const store = await open(database, true)
  assert.equal(await store.registrations.add(registration(a), 10), 'added')
  await store.close()
})

test('no error of the store holds the password', async () => {
  const database = await server.createDatabase()
  const guess = 'correct-horse-battery-staple'
  const failures = await Promise.all([
    open(database, true, { password: () => Promise.resolve(new Secret(guess)) }).catch((error: unknown) => error),
    open(database, true, { password: null }).catch((error: unknown) => error),
    open(database, true, { password: () => Promise.resolve(new Secret(guess)), user: 'nobody' }).catch(
      (error: unknown) => error,
    ),
    open(database, true, {
      password: () => Promise.resolve(new Secret(guess)),
      addresses: [{ host: '127.0.0.1', port: 1 }],
    }).catch((error: unknown) => error),
  ])
  assert.deepEqual(
    failures.map((error) => isDoorwardError(error) && error.code),
    ['store_login_refused', 'store_login_refused', 'store_login_refused', 'store_unavailable'],
  )
  for (const error of failures) {
    const said = `${JSON.stringify(error)} ${String(error)} ${(error as Error).stack} ${JSON.stringify(Object.entries(error as Error))}`
    assert.ok(!said.includes(guess))
  }
})

test('options are checked before anything is tried, and no password leaves the machine without TLS', () => {
  const options = storeOptions(server, { database: 'x' })
  const refused = (more: Partial<PostgresOptions>, code: string) =>
    assert.throws(() => checkOptions({ ...options, ...more }), { code })
  refused({ addresses: [] }, 'store_options')
  refused({ addresses: [{ host: 'db.example', port: 0 }] }, 'store_options')
  refused({ connections: 0 }, 'store_options')
  refused({ connections: 9 }, 'store_options')
  for (const host of ['db.example', '10.0.0.1', '127.0.0.1.example', '::2', '127.evil'])
    refused({ addresses: [server.target, { host, port: 5432 }] }, 'store_tls_required')
  for (const host of ['/run/postgresql', '127.0.0.1', '::1', 'localhost'])
    checkOptions({ ...options, addresses: [{ host, port: 5432 }] })
  checkOptions({ ...options, addresses: [{ host: 'db.example', port: 5432 }], tls: { ca: null, own: null } })
})
