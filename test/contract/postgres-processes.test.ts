/** Several processes on one PostgreSQL store: what must happen once happens once, whoever asks and whoever dies. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { leaseMilliseconds } from '@doorward/core'
import { openPostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import type { PostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'
import { StoreProcess } from '../fixtures/postgres-worker.ts'
import type { Outcome } from '../fixtures/postgres-worker.ts'
import { a, binding, intent, registration, roomy, slot, token } from './authority-store/values.ts'

const server = await PostgresServer.start()
after(() => server.remove())

interface Stage {
  readonly database: string
  readonly store: PostgresAuthorityStore
  readonly processes: readonly StoreProcess[]
}

async function onStage(count: number, run: (stage: Stage) => Promise<void>): Promise<void> {
  const database = await server.createDatabase()
  const store = await openPostgresAuthorityStore(storeOptions(server, { database }), { create: true })
  const processes = await Promise.all(Array.from({ length: count }, () => StoreProcess.start(server, database)))
  try {
    await run({ database, store, processes })
  } finally {
    await Promise.all(processes.map((each) => each.close()))
    await store.close()
  }
}

function outcomeOf(answer: Outcome): unknown {
  return 'value' in answer ? (answer.value as { readonly outcome?: unknown }).outcome : answer.error
}

test('BS-3: of two hundred redemptions of one token by four processes one succeeds', () =>
  onStage(4, async ({ store, processes }) => {
    await store.registrations.add(registration(a), 10)
    await store.joins.addToken(token('h', a), 10)
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => {
        const machineKey = { ...binding('', 'M').machineKey, x: String(index).padStart(43, '0') }
        const own = { ...binding(`i${index}`, 'M', { limit: 500 }), machineKey }
        return processes[index % 4]!.call('joins', 'redeem', { hash: 'h', binding: own })
      }),
    )
    const outcomes = answers.map(outcomeOf)
    assert.equal(outcomes.filter((outcome) => outcome === 'redeemed').length, 1)
    assert.equal(outcomes.filter((outcome) => outcome === 'used').length, 199)
    assert.equal((await store.instances.list(a)).length, 1)
  }))

test('slots, trust states and ceremonies asked for by four processes at once are there once', () =>
  onStage(4, async ({ store, processes }) => {
    const message = { delegation: 1, sequence: 1, message: '', anchors: '', callers: { sequence: 1, message: '' } }
    const ask = async (name: Parameters<StoreProcess['call']>[0], verb: string, ...args: readonly unknown[]) => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => processes[index % 4]!.call(name, verb, ...args)),
      )
      return answers.filter((answer) => 'value' in answer && answer.value === true).length
    }
    assert.equal(await ask('slots', 'prepare', slot('k')), 1)
    assert.equal(await ask('trust', 'append', message, 0), 1)
    assert.equal(await ask('trust', 'delegate', { version: 1, expiresAt: 100, message: '' }), 1)
    assert.equal(await ask('slots', 'publish', 'k', 5), 1)
    assert.equal(await ask('slots', 'activate', 'k', 6), 1)
    assert.deepEqual(await store.trust.newestVersion(), { delegation: 1, sequence: 1 })
  }))

test('of trust states that four processes append after the same one, one is there, whatever their sequences', () =>
  onStage(4, async ({ database, processes }) => {
    let after = 0
    for (let round = 0; round < 15; round++) {
      const answers = await Promise.all(
        processes.map((each, index) => {
          const sequence = after + 1 + index
          const callers = { sequence, message: '' }
          return each.call('trust', 'append', { delegation: 1, sequence, message: '', anchors: '', callers }, after)
        }),
      )
      const won = answers.flatMap((answer, index) => ('value' in answer && answer.value === true ? [index] : []))
      assert.equal(won.length, 1)
      after += 1 + (won[0] ?? 0)
    }
    const [newest] = await server.query('SELECT max(sequence)::int AS newest FROM doorward.trust_states', database)
    assert.equal(newest?.['newest'], after)
  }))

test('RV-5: a serial that is revoked while four processes renew it leaves no renewal that is not denied', () =>
  onStage(4, async ({ database, store, processes }) => {
    await store.registrations.add(registration(a), 10)
    const serials = Array.from({ length: 12 }, (_, index) => `${index}`)
    for (const serial of serials) await store.issuance.intend(intent(serial, a), roomy)
    const denial = (value: string) => ({ kind: 'serial', value, issuedBefore: 60, lapsesAt: 9999, reason: 'test' })
    const answers = await Promise.all(
      serials.flatMap((serial, index) => [
        ...processes.map((each, place) =>
          each.call('issuance', 'intend', intent(`${serial}-${place}`, a, { predecessor: serial }), roomy),
        ),
        processes[index % 4]!.call('revocations', 'revoke', denial(serial), 60),
      ]),
    )
    assert.deepEqual(
      answers.filter((answer) => 'error' in answer),
      [],
    )
    const undenied = `SELECT serial FROM doorward.issuance WHERE NOT EXISTS
      (SELECT 1 FROM doorward.denials WHERE kind = 'serial' AND value = issuance.serial)`
    assert.deepEqual(await server.query(undenied, database), [])
  }))

test('a process that has lost its lease to another writes nothing more, however many writes were under way', () =>
  onStage(2, async ({ database, store, processes }) => {
    const [first, second] = processes
    assert.ok(first !== undefined && second !== undefined)
    const request = { instance: 'i', name: 'main', program: '1', now: 0 }
    assert.equal(outcomeOf(await first.call('leases', 'take', { ...request, home: 'here', holder: 'one' })), 'taken')
    assert.equal(outcomeOf(await second.call('leases', 'take', { ...request, home: 'there', holder: 'two' })), 'held')
    await server.query(`UPDATE doorward.authorities SET seen_at = seen_at - ${leaseMilliseconds}`, database)
    const writes = Array.from({ length: 60 }, (_, index) =>
      first.call('registrations', 'add', registration(`spiffe://t/${index}`), 1000),
    )
    assert.equal(outcomeOf(await second.call('leases', 'take', { ...request, home: 'there', holder: 'two' })), 'taken')
    const known = (await store.registrations.list()).length
    const outcomes = await Promise.all(writes)
    assert.equal(outcomes.filter((outcome) => 'value' in outcome).length, known)
    assert.ok(outcomes.every((outcome) => 'value' in outcome || outcome.error === 'lease_lost'))
    assert.deepEqual(await first.call('registrations', 'add', registration(a), 1000), { error: 'lease_lost' })
    assert.deepEqual(
      await first.call('leases', 'renew', 0, { place: null, trustKey: null, trustKeys: [], log: null }),
      {
        value: null,
      },
    )
    assert.equal((await store.registrations.list()).length, known)
  }))

test('a process that freezes in the middle of its writes is followed, and writes nothing when it thaws', () =>
  onStage(2, async ({ database, store, processes }) => {
    const [first, second] = processes
    assert.ok(first !== undefined && second !== undefined)
    const request = { instance: 'i', name: 'main', program: '1', now: 0 }
    assert.equal(outcomeOf(await first.call('leases', 'take', { ...request, home: 'here', holder: 'one' })), 'taken')
    const writes = Array.from({ length: 300 }, (_, index) =>
      first.call('registrations', 'add', registration(`spiffe://t/${index}`), 1000),
    )
    await Promise.race(writes)
    first.freeze()
    await server.query(`UPDATE doorward.authorities SET seen_at = seen_at - ${leaseMilliseconds}`, database)
    // What the frozen one has locked is free again when the server gives up on it.
    const follow = () => second.call('leases', 'take', { ...request, home: 'there', holder: 'two' })
    for (let tries = 0; outcomeOf(await follow()) !== 'taken'; tries++) assert.ok(tries < 10)
    const known = (await store.registrations.list()).map(({ id }) => id)
    first.thaw()
    const outcomes = await Promise.all(writes)
    const acknowledged = outcomes.flatMap((outcome, index) => ('value' in outcome ? [`spiffe://t/${index}`] : []))
    assert.deepEqual(
      acknowledged.filter((id) => !known.includes(id)),
      [],
    )
    assert.deepEqual(await first.call('registrations', 'add', registration(a), 1000), { error: 'lease_lost' })
    assert.equal((await store.registrations.list()).length, known.length)
  }))

test('a process that is killed in the middle leaves whole changes, and nothing that keeps others waiting', () =>
  onStage(3, async ({ database, store, processes }) => {
    await store.registrations.add(registration(a), 10)
    const acknowledged = new Set<string>()
    for (const [round, victim] of processes.entries()) {
      const asked = Array.from({ length: 50 }, async (_, index) => {
        const hash = `${round}-${index}`
        const added = await victim.call('joins', 'addToken', token(hash, a), 1000)
        if ('value' in added) acknowledged.add(hash)
        const redeemed = await victim.call('joins', 'redeem', {
          hash,
          binding: { ...binding(hash, 'M', { limit: 1000 }), machineKey: { ...binding('', 'M').machineKey, x: hash } },
        })
        if (outcomeOf(redeemed) === 'redeemed') acknowledged.add(`used ${hash}`)
      })
      await Promise.race(asked)
      await victim.kill()
      await Promise.all(asked)
      assert.equal(await store.registrations.add(registration(`spiffe://t/after-${round}`), 100), 'added')
    }
    const tokens = await server.query('SELECT hash, used_at FROM doorward.join_tokens', database)
    const used = tokens.filter((row) => row['used_at'] !== null).map((row) => String(row['hash']))
    const bound = (await store.instances.list(a)).map(({ instance }) => instance)
    assert.deepEqual(bound.toSorted(), used.toSorted())
    const there = new Set([...tokens.map((row) => String(row['hash'])), ...used.map((hash) => `used ${hash}`)])
    assert.deepEqual(
      [...acknowledged].filter((each) => !there.has(each)),
      [],
    )
  }))
