/**
 * A store that was put back from a copy: told at start and while running, nothing is signed by it, and the way back brings
 * nobody back who was denied meanwhile.
 */

import assert from 'node:assert/strict'
import { cp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateP256 } from '@doorward/sdk'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { makeFolders, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../fixtures/authority/running.ts'
import {
  call,
  enrolled,
  joined,
  joinToken,
  ownToken,
  requestRenewal,
  requestToken,
  tokenFor,
  trustStateFor,
  tryEnrol,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

const id = (path: string) => `spiffe://${trustDomain}/${path}`
const used: Folders[] = []
let folders: Folders

beforeEach(async () => {
  folders = await makeFolders()
  used.push(folders)
})
after(() => Promise.all(used.map((one) => removeFolders(one))))
const running = new Set<TestAuthority>()
afterEach(async () => {
  for (const authority of running) await authority.stop()
  running.clear()
})

async function start(options: Parameters<typeof startTestAuthority>[0] = {}): Promise<TestAuthority> {
  const authority = await startTestAuthority({ folders, ...options })
  running.add(authority)
  return authority
}

async function stop(authority: TestAuthority): Promise<void> {
  running.delete(authority)
  await authority.stop()
}

const store = () => join(folders.stateDir, 'authority.db')
const copyName = () => join(folders.root, 'copy')

async function copyStore(): Promise<void> {
  const database = new DatabaseSync(store(), { timeout: 5000 })
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
  await mkdir(copyName(), { recursive: true })
  await cp(store(), join(copyName(), 'authority.db'))
}

async function putBack(): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await rm(`${store()}${suffix}`, { force: true })
  await cp(join(copyName(), 'authority.db'), store())
}

async function admin(authority: TestAuthority): Promise<(what: string, body?: object) => Promise<number>> {
  const operator = await joined(authority, id('doorward/operator/one'), ['admin'])
  const token = await ownToken(authority, operator)
  return async (what, body) => {
    const client = await RawClient.open(authority.running.addresses.admin, operator)
    const { status, text } = await call(client, token, what, body)
    client.close()
    assert.ok(status < 300, `${what}: ${status} ${text}`)
    return status
  }
}

/** A workload comes back by its machine key; its answer. */
const comeBack = (authority: TestAuthority, { id: name, machineKey, joinState }: Workload) =>
  tryEnrol(authority, { id: name, machineKey, joinState })

async function renewed(authority: TestAuthority, workload: Workload): Promise<Workload> {
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const key = await generateP256()
  const answer = await requestRenewal(client, await tokenFor(client), { key, joinState: workload.joinState })
  client.close()
  return enrolled(workload.id, { answer, key, machineKey: workload.machineKey })
}

async function stateOf(authority: TestAuthority) {
  const gateway = await joined(authority, id('doorward/gateway/looking'), ['gateway'])
  return (await trustStateFor(authority, gateway, 'full')).state
}

test('RV-7: an older copy of the store is told at start with the numbers, and nothing is done by it', async () => {
  const first = await start()
  const kept = await joined(first, id('agent/kept'))
  await copyStore()
  await renewed(first, kept)
  const { sequence } = await stateOf(first)
  await stop(first)
  await putBack()
  const before = await entries()
  await assert.rejects(
    startTestAuthority({ folders }),
    (error: Error & { code: string; expected: string; got: string }) => {
      assert.equal(error.code, 'store_restored')
      assert.match(error.expected, new RegExp(`${sequence}|${sequence + 1}`))
      assert.match(error.got, /trust state \(1, \d+\) of epoch 1/)
      return true
    },
  )
  assert.equal(await entries(), before)
})

async function entries(): Promise<number> {
  let count = 0
  for await (const _ of readEntries(join(folders.stateDir, 'record'), { unsigned: true })) count += 1
  return count
}

test('a start that says so without need is refused, and changes nothing', async () => {
  await stop(await start())
  await assert.rejects(startTestAuthority({ folders, afterRestore: true }), { code: 'store_not_restored' })
  await stop(await start())
})

test('RV-7: a store that lacks nothing but its newest state is told too', async () => {
  const first = await start()
  await stop(first)
  const database = new DatabaseSync(store())
  database.exec('DELETE FROM trust_states WHERE sequence = (SELECT max(sequence) FROM trust_states)')
  database.close()
  await assert.rejects(startTestAuthority({ folders }), { code: 'store_restored' })
})

test('RV-7: a store that goes back under a running authority stops it from signing', async () => {
  const authority = await start({ lookMilliseconds: 300 })
  const workload = await joined(authority, id('agent/first'))
  const database = new DatabaseSync(store(), { timeout: 5000 })
  database.exec('DELETE FROM trust_states WHERE sequence > (SELECT min(sequence) FROM trust_states)')
  database.close()
  const deadline = performance.now() + 20_000
  for (;;) {
    const client = await RawClient.open(authority.running.addresses.main, workload)
    const { status } = await requestToken(client)
    client.close()
    if (status === 503) break
    assert.ok(performance.now() < deadline, 'tokens go on')
    await sleep(100)
  }
  const told = () =>
    authority.events.some((event) => event.type === 'detection' && event.detection.detector === 'store_went_back')
  while (!told()) {
    assert.ok(performance.now() < deadline, 'nobody was told')
    await sleep(50)
  }
  const problems = authority.events.filter(({ type }) => type === 'problem')
  assert.ok(problems.length <= 2, 'told over and over')
})

test('OP-4: after a restore what was denied stays denied, what was changed is changed, and everyone comes back', async () => {
  const first = await start()
  const kept = await joined(first, id('agent/kept'))
  const thief = await joined(first, id('agent/thief'))
  const gone = await joined(first, id('agent/gone'))
  const locked = await joined(first, id('agent/locked'))
  const demoted = await joined(first, id('agent/demoted'), ['admin'])
  const unused = await joinToken(first, id('agent/kept'))
  await copyStore()
  const later = await renewed(first, await renewed(first, kept))
  const newcomer = await joined(first, id('agent/newcomer'), ['reader'])
  const operate = await admin(first)
  await operate('POST /v1/revocations', { subject: 'workload', id: thief.id, reason: 'stolen' })
  await operate(`DELETE /v1/workloads?id=${encodeURIComponent(gone.id)}`)
  const { instance } = new DatabaseSync(store(), { readOnly: true })
    .prepare('SELECT instance FROM instances WHERE id = ?')
    .get(locked.id) as { readonly instance: string }
  await operate('POST /v1/instances/lock', { id: locked.id, instance, reason: 'stolen too' })
  await first.running.registerWorkload({ id: demoted.id, roles: ['reader'] }, 'test')
  const { sequence, epoch } = await stateOf(first)
  await stop(first)

  await putBack()
  const second = await start({ afterRestore: true })
  const warnings = second.events.flatMap((event) => (event.type === 'warning' ? [event.code] : []))
  assert.deepEqual(warnings, ['store_mended', 'join_again'])

  const now = await stateOf(second)
  assert.ok(now.sequence > sequence, 'the sequence goes on')
  assert.equal(now.epoch, epoch + 1)
  const roles = new Map(now.workloads.map((workload) => [workload.id, workload.roles]))
  assert.deepEqual(roles.get(demoted.id), ['reader'])
  assert.deepEqual(roles.get(newcomer.id), ['reader'])
  assert.equal(roles.has(gone.id), false)

  for (const holder of [kept, later, thief, demoted]) {
    const refused = await RawClient.open(second.running.addresses.main, holder).then(
      async (client) => {
        const { status } = await requestToken(client).catch(() => ({ status: 401 }))
        client.close()
        return status
      },
      () => 401,
    )
    assert.equal(refused, 401, `a certificate of ${holder.id} from before`)
  }
  for (const [denied, code] of [
    [thief, 'instance_locked'],
    [locked, 'instance_locked'],
    [gone, 'join_refused'],
    [newcomer, 'join_refused'],
  ] as const)
    assert.equal((await comeBack(second, denied)).answer.headers['doorward-code'], code, denied.id)
  assert.equal((await tryEnrol(second, { token: unused })).answer.headers['doorward-code'], 'join_refused')

  const back = enrolled(kept.id, await comeBack(second, later))
  const again = await renewed(second, back)
  assert.equal((await ownToken(second, again)).split('.').length, 3)
  assert.equal(
    (await comeBack(second, kept)).answer.headers['doorward-code'],
    'instance_locked',
    'a copy from the past shows itself',
  )
  await stop(second)
  const third = await start()
  assert.deepEqual(third.events, [])
})
