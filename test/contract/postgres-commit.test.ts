/** What becomes of changes whose connection is lost while they are committed, and of those that are asked for together. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { epochSeconds, isDoorwardError } from '@doorward/core'
import { openPostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import type { PostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { openPostgresProxy } from '../fixtures/postgres-proxy.ts'
import type { Loss, PostgresProxy } from '../fixtures/postgres-proxy.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'
import { a, at, binding, intent, registration, roomy, slot, token } from './authority-store/values.ts'

const server = await PostgresServer.start()
after(() => server.remove())

interface Stage {
  readonly store: PostgresAuthorityStore
  readonly proxy: PostgresProxy
  readonly database: string
}

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  const database = await server.createDatabase()
  const proxy = await openPostgresProxy(server.target)
  const options = storeOptions(server, { database, addresses: [proxy.target] })
  const store = await openPostgresAuthorityStore(options, { create: true })
  try {
    await store.registrations.add(registration(a), 10)
    await run({ store, proxy, database })
  } finally {
    await store.close()
    await proxy.close()
  }
}

interface Case {
  readonly name: string
  readonly prepare?: (store: PostgresAuthorityStore) => Promise<unknown>
  readonly verb: (store: PostgresAuthorityStore) => Promise<unknown>
  /** Whether the change is there. */
  readonly isThere: (store: PostgresAuthorityStore) => Promise<boolean>
  /** What a caller that asks once more is told when the change was there already. */
  readonly again: unknown
}

const state = { delegation: 1, sequence: 1, message: '', anchors: '', callers: { sequence: 1, message: '' } }

/** Every verb that its callers repeat or compensate after an error. */
const cases: readonly Case[] = [
  {
    name: 'a redemption',
    prepare: ({ joins }) => joins.addToken(token('h', a), 10),
    verb: async ({ joins }) => (await joins.redeem({ hash: 'h', binding: binding('i', 'M') })).outcome,
    // The token and the key that it bound: one without the other would lock its holder out, or let a second one in.
    isThere: async ({ joins, instances }) => {
      const used = (await joins.findToken('h'))?.usedAt !== null
      assert.equal((await instances.find('i')) !== null, used)
      return used
    },
    again: 'used',
  },
  {
    name: 'an intent',
    verb: ({ issuance }) => issuance.intend(intent('01', a), roomy),
    isThere: async ({ issuance }) => (await issuance.open('one')).length === 1,
    again: 'serial_taken',
  },
  {
    name: 'a release',
    prepare: async ({ issuance }) => {
      await issuance.intend(intent('01', a), roomy)
      await issuance.commit('01', 'f')
    },
    verb: ({ issuance }) => issuance.release('01'),
    isThere: async ({ issuance }) => (await issuance.findBySerial('01'))?.state === 'released',
    again: false,
  },
  {
    name: 'a void',
    prepare: ({ issuance }) => issuance.intend(intent('01', a), roomy),
    verb: ({ issuance }) => issuance.void('01', at(61)),
    isThere: async ({ denials }) => (await denials.list(at(62))).length === 1,
    again: false,
  },
  {
    name: 'a trust state',
    verb: ({ trust }) => trust.append(state, 0),
    isThere: async ({ trust }) => (await trust.newest()) !== null,
    again: false,
  },
  {
    name: 'a slot',
    verb: ({ slots }) => slots.prepare(slot('k')),
    isThere: async ({ slots }) => (await slots.list()).length === 1,
    again: false,
  },
]

for (const { name, prepare, verb, isThere, again } of cases) {
  const losing = (what: Loss, kept: boolean, sentence: string) =>
    void test(`${name} whose ${what} to commit is lost ${sentence}`, () =>
      onStage(async ({ store, proxy }) => {
        await prepare?.(store)
        const lost = proxy.lose(what, 'COMMIT')
        await assert.rejects(verb(store), { code: 'store_unavailable' })
        await lost
        assert.equal(await isThere(store), kept)
        const repeated = await verb(store)
        assert.equal(repeated === again, kept)
        assert.equal(await isThere(store), true)
      }))
  losing('answer', true, 'is there entirely, and repeating it changes nothing')
  losing('request', false, 'is not there, and can be repeated')
}

test('every change that shares a lost commit is reported, and the next ones succeed', () =>
  onStage(async ({ store, proxy }) => {
    const lost = proxy.lose('answer', 'COMMIT')
    const ids = Array.from({ length: 20 }, (_, index) => `spiffe://t/${index}`)
    const results = await Promise.allSettled(ids.map((id) => store.registrations.add(registration(id), 100)))
    await lost
    assert.ok(
      results.every((result) => result.status === 'rejected' && isDoorwardError(result.reason, 'store_unavailable')),
    )
    assert.equal((await store.registrations.list()).length, 1 + ids.length)
    assert.equal(await store.registrations.add(registration('spiffe://t/next'), 100), 'added')
  }))

test('a verb that fails undoes itself and leaves those beside it', () =>
  onStage(async ({ store }) => {
    const results = await Promise.allSettled([
      store.registrations.add(registration('spiffe://t/b'), 10),
      store.registrations.add(registration('spiffe://t/c', { createdAt: epochSeconds(Number.NaN) }), 10),
      store.registrations.add(registration('spiffe://t/d'), 10),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal((results[1] as PromiseRejectedResult).reason.code, 'store_unavailable')
    assert.deepEqual(
      (await store.registrations.list()).map(({ id }) => id),
      [a, 'spiffe://t/b', 'spiffe://t/d'],
    )
  }))

test('a change that was undone by a deadlock is made again', () =>
  onStage(async ({ store, database }) => {
    await store.instances.bind(a, binding('i', 'M'))
    await store.instances.bind(a, binding('j', 'N'))
    const other = await server.connect(database)
    await other.query("BEGIN; UPDATE doorward.instances SET seen_at = 1 WHERE instance = 'j'")
    const both = Promise.all([store.instances.present('i', null, at(60)), store.instances.present('j', null, at(60))])
    await waitingSessions(database)
    // Whichever of the two the server chooses: ours is made again, and theirs ends.
    await other.query("UPDATE doorward.instances SET seen_at = 1 WHERE instance = 'i'").catch(() => undefined)
    await other.query('ROLLBACK')
    assert.deepEqual(await both, ['current', 'current'])
    await other.end()
  }))

test('what others keep locked is waited for in bounded time', () =>
  onStage(async ({ store, database }) => {
    await store.instances.bind(a, binding('i', 'M'))
    const other = await server.connect(database)
    await other.query("BEGIN; UPDATE doorward.instances SET seen_at = 1 WHERE instance = 'i'")
    await assert.rejects(store.instances.present('i', null, at(60)), { code: 'store_unavailable' })
    assert.equal((await store.instances.find('i'))?.instance, 'i')
    await other.query('ROLLBACK')
    assert.equal(await store.instances.present('i', null, at(60)), 'current')
    await other.end()
  }))

test('a number that no double holds is refused, not rounded', () =>
  onStage(async ({ store, database }) => {
    await server.query(`UPDATE doorward.registrations SET ttl_seconds = ${2n ** 53n}`, database)
    await assert.rejects(store.registrations.find(a), { code: 'store_corrupt' })
  }))

test('after closing, nothing is accepted and what was under way is kept', () =>
  onStage(async ({ store, database }) => {
    const added = store.registrations.add(registration('spiffe://t/last'), 10)
    await store.close()
    assert.equal(await added, 'added')
    await assert.rejects(store.registrations.list(), { code: 'store_unavailable' })
    await assert.rejects(store.registrations.add(registration('spiffe://t/x'), 10), { code: 'store_unavailable' })
    assert.equal(store.sessions, 0)
    const rows = await server.query("SELECT 1 FROM doorward.registrations WHERE id = 'spiffe://t/last'", database)
    assert.equal(rows.length, 1)
  }))

/** Until one session of the database waits for a lock. */
async function waitingSessions(database: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const rows = await server.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = '${database}' AND wait_event_type = 'Lock'`,
    )
    if (rows.length > 0) return
  }
  throw new Error('nobody waits')
}
