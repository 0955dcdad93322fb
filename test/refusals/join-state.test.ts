/** Join states at a running authority: a copied key is exposed and only its instance locked, and nobody else can cause that. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { generateP256 } from '@doorward/sdk'
import { openAuthorityStore } from '../../packages/server/src/storage/sqlite/authority-store.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { recordOf, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import {
  enrolled,
  joined,
  joinToken,
  ownToken,
  requestRenewal,
  requestToken,
  trustStateFor,
  tryEnrol,
  workloadOf,
} from '../fixtures/authority/workload.ts'
import { filesBelow } from '../fixtures/files-below.ts'
import type { EnrolAttempt, Workload } from '../fixtures/authority/workload.ts'

let authority: TestAuthority
let gateway: Workload

before(async () => {
  authority = await startTestAuthority()
  gateway = await joined(authority, 'spiffe://test.example/doorward/gateway/watcher', ['gateway'])
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

async function codeOf(attempt: EnrolAttempt): Promise<string | undefined> {
  return (await tryEnrol(authority, attempt)).answer.headers['doorward-code']
}

async function returned({ id, machineKey, joinState }: Workload): Promise<Workload> {
  return enrolled(id, await tryEnrol(authority, { id, machineKey, joinState }))
}

async function renewal(workload: Workload, joinState: string | null = workload.joinState) {
  const token = await ownToken(authority, workload)
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const key = await generateP256()
  try {
    const answer = await requestRenewal(client, token, { key, ...(joinState === null ? {} : { joinState }) })
    return { answer, key }
  } finally {
    client.close()
  }
}

async function renewed(workload: Workload): Promise<Workload> {
  const { answer, key } = await renewal(workload)
  assert.equal(answer.status, 200, answer.text)
  const { certificate, join_state } = answer.json()
  const { id, machineKey } = workload
  return workloadOf(id, { certificate: String(certificate), joinState: String(join_state), key, machineKey })
}

/** What a new connection with this certificate meets; one that is ended by a trust state of that moment says nothing. */
async function standing(workload: Workload, attempts = 2): Promise<string | undefined> {
  const client = await RawClient.open(authority.running.addresses.main, workload)
  try {
    return (await requestToken(client)).headers['doorward-code']
  } catch (error) {
    if (attempts === 1) throw error
    return await standing(workload, attempts - 1)
  } finally {
    client.close()
  }
}

async function another(id: string): Promise<Workload> {
  return enrolled(id, await tryEnrol(authority, { token: await joinToken(authority, id) }))
}

function withStore<T>(read: (store: ReturnType<typeof openAuthorityStore>) => Promise<T>): Promise<T> {
  const store = openAuthorityStore(join(authority.folders.stateDir, 'authority.db'), { create: false })
  return read(store).finally(() => store.close())
}

/** Alarms about the identity or one of its instances. */
function alarms(id: string): Promise<readonly string[]> {
  return withStore(async ({ alarms: raised }) =>
    (await raised.list()).filter(({ subject }) => subject.split('#')[0] === id).map(({ detector }) => detector),
  )
}

async function detections(of: TestAuthority, id: string): Promise<readonly string[]> {
  const entries = (await recordOf(of.folders)).filter(({ kind }) => kind === 'detection')
  return entries
    .filter(({ body }) => String(body['subject']).split('#')[0] === id)
    .map(({ body }) => String(body['detector']))
}

test('BS-2, OP-10, DT-3: a state from the past locks that instance at once, and no other of its identity', async () => {
  const id = 'spiffe://test.example/agent/copied'
  const first = await joined(authority, id)
  const second = await another(id)
  const newest = await renewed(await renewed(first))
  assert.equal(await codeOf({ id, machineKey: first.machineKey, joinState: first.joinState }), 'instance_locked')
  for (const lost of [first, newest]) assert.equal(await standing(lost), 'certificate_denied')
  assert.equal(await codeOf({ id, machineKey: first.machineKey, joinState: newest.joinState }), 'instance_locked')
  assert.equal(await standing(second), 'allowed')
  assert.equal(await standing(await renewed(second)), 'allowed')
  assert.deepEqual(await alarms(id), ['DT-3'])
})

test('BS-2: the copy is exposed whoever comes first, and what it got dies with the instance', async () => {
  const id = 'spiffe://test.example/agent/thief-first'
  const honest = await joined(authority, id)
  const thief = await returned(honest)
  assert.equal(await standing(thief), 'allowed')
  const again = await returned(honest)
  assert.equal(await standing(thief), 'certificate_denied')
  assert.equal(await standing(again), 'allowed')
  assert.equal(await codeOf({ id, machineKey: thief.machineKey, joinState: thief.joinState }), 'instance_locked')
  assert.equal(await standing(again), 'certificate_denied')
  assert.deepEqual(await alarms(id), ['DT-3'])
})

test('BS-2: a stolen certificate alone is not renewed: without the join state it locks the instance', async () => {
  for (const [name, shown] of [
    ['none', null],
    ['invented', `9.${'A'.repeat(43)}`],
  ] as const) {
    const id = `spiffe://test.example/agent/stolen-${name}`
    const workload = await renewed(await joined(authority, id))
    const confirmed = await renewed(workload)
    const { answer } = await renewal(confirmed, shown)
    assert.equal(answer.headers['doorward-code'], 'instance_locked', name)
    assert.equal(await standing(confirmed), 'certificate_denied')
    assert.deepEqual(await alarms(id), ['DT-3'])
  }
})

test('BS-2: who cannot prove the machine key locks nobody', async () => {
  const id = 'spiffe://test.example/agent/steady'
  const workload = await renewed(await joined(authority, id))
  const { machineKey } = workload
  const past = `1.${'A'.repeat(43)}`
  const stranger = await generateP256()
  assert.equal(await codeOf({ id, machineKey, joinState: past, proofKey: stranger }), 'join_refused')
  assert.equal(await codeOf({ id, machineKey: stranger, joinState: workload.joinState }), 'join_refused')
  assert.equal(await codeOf({ id: 'spiffe://test.example/agent/none', machineKey, joinState: past }), 'join_refused')
  for (const joinState of ['', 'x', '0.A', `1.${'A'.repeat(44)}`, `-1.${'A'.repeat(43)}`])
    assert.equal(await codeOf({ id, machineKey, joinState }), 'request_invalid', joinState)
  const { key } = await renewal(workload)
  assert.equal(await codeOf({ id, machineKey: stranger, proofKey: key, joinState: past }), 'join_refused')
  assert.deepEqual(await alarms(id), [])
  assert.equal(await codeOf({ id, machineKey, joinState: workload.joinState }), 'allowed')
})

test('BS-2: a wrong proof by the new key is refused before any join state is looked at', async () => {
  const id = 'spiffe://test.example/agent/proof-first'
  const workload = await renewed(await joined(authority, id))
  const token = await ownToken(authority, workload)
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const keys = { key: await generateP256(), proofKey: await generateP256(), joinState: `1.${'A'.repeat(43)}` }
  assert.equal((await requestRenewal(client, token, keys)).headers['doorward-code'], 'proof_invalid')
  client.close()
  assert.equal(await standing(await renewed(workload)), 'allowed')
})

test('BS-2: answers that are lost twice in a row lock nobody, and what was in them is denied', async () => {
  const id = 'spiffe://test.example/agent/lossy'
  const workload = await renewed(await joined(authority, id))
  const lost: Workload[] = []
  for (let attempt = 0; attempt < 2; attempt++) lost.push(await returned(workload))
  const kept = await returned(workload)
  assert.equal(await standing(kept), 'allowed')
  for (const one of lost) assert.equal(await standing(one), 'certificate_denied')
  assert.equal(await standing(await renewed(kept)), 'allowed')
  assert.deepEqual(await alarms(id), [])
})

test('BS-2: a first join whose answer is lost twice is finished by the machine key alone', async () => {
  const id = 'spiffe://test.example/agent/lossy-join'
  const { machineKey } = await joined(authority, id)
  assert.equal(await codeOf({ id, machineKey }), 'allowed')
  const kept = enrolled(id, await tryEnrol(authority, { id, machineKey }))
  assert.equal(await standing(await renewed(kept)), 'allowed')
  assert.deepEqual(await alarms(id), [])
})

test('BS-2: of two renewals at once with one state the later answer is the one that counts, and nobody is locked', async () => {
  const id = 'spiffe://test.example/agent/twice'
  const workload = await renewed(await joined(authority, id))
  const both = await Promise.all([returned(workload), returned(workload)])
  const number = ({ joinState }: Workload) => Number(joinState.split('.')[0])
  const [early, late] = both.toSorted((a, b) => number(a) - number(b))
  assert.equal(await standing(late!), 'allowed')
  assert.equal(await standing(early!), 'certificate_denied')
  assert.equal(await standing(await renewed(late!)), 'allowed')
})

test('a locked instance joins anew with a token and a new key, and not with its old one', async () => {
  const id = 'spiffe://test.example/agent/healed'
  const workload = await renewed(await joined(authority, id))
  const { machineKey } = workload
  assert.equal(await codeOf({ id, machineKey }), 'instance_locked')
  const token = await joinToken(authority, id)
  assert.equal(await codeOf({ token, machineKey }), 'instance_locked')
  const healed = enrolled(id, await tryEnrol(authority, { token }))
  assert.equal(await standing(await renewed(healed)), 'allowed')
})

test('DT-2: a second instance of a workload that has one ends the first, and is an alarm while that was alive', async () => {
  const id = 'spiffe://test.example/agent/single'
  await authority.running.registerWorkload({ id, roles: [], singleInstance: true }, 'test')
  const first = await another(id)
  assert.deepEqual(await alarms(id), [])
  const second = await another(id)
  assert.deepEqual(await alarms(id), ['DT-2'])
  assert.equal(await standing(first), 'certificate_denied')
  assert.equal(await standing(await renewed(second)), 'allowed')
  const { state } = await trustStateFor(authority, gateway, 'full')
  assert.ok(state.denied.serials.includes(first.read.serial))
})

test('DT-2: an instance that was replaced long after it was seen last is no alarm, but its return is', async () => {
  const own = await startTestAuthority()
  const id = 'spiffe://test.example/agent/moved'
  await own.running.registerWorkload({ id, roles: [], singleInstance: true }, 'test')
  const token = async () => ({ token: await joinToken(own, id) })
  const first = enrolled(id, await tryEnrol(own, await token()))
  own.advance(2 * 3600_000)
  enrolled(id, await tryEnrol(own, await token()))
  const { machineKey, joinState } = first
  const { answer } = await tryEnrol(own, { id, machineKey, joinState })
  assert.equal(answer.headers['doorward-code'], 'instance_locked')
  await own.stop()
  assert.deepEqual(await detections(own, id), ['DT-2'])
  const told = own.events.filter(({ type }) => type === 'detection')
  assert.equal(told.length, 1)
  await removeFolders(own.folders)
})

test('DT-3: detection, lock and refusal are on the record, the detection once a minute however often it is caused', async () => {
  const own = await startTestAuthority()
  const id = 'spiffe://test.example/agent/recorded'
  const workload = await joined(own, id)
  const { machineKey, joinState } = workload
  const next = enrolled(id, await tryEnrol(own, { id, machineKey, joinState }))
  enrolled(id, await tryEnrol(own, { id, machineKey, joinState: next.joinState }))
  for (let attempt = 0; attempt < 5; attempt++) await tryEnrol(own, { id, machineKey, joinState })
  await own.stop()
  const entries = await recordOf(own.folders)
  assert.deepEqual(await detections(own, id), ['DT-3'])
  const [detected] = entries.filter(({ kind }) => kind === 'detection')
  assert.match(String(detected?.body['subject']), /^spiffe:\/\/test\.example\/agent\/recorded#[0-9a-f]{16}$/)
  const refused = entries.filter(({ kind, body }) => kind === 'decision' && body['code'] === 'instance_locked')
  assert.ok(refused.length === 4 && refused.every(({ body }) => body['caller'] === id))
  const outcomes = entries.filter(({ kind, body }) => kind === 'outcome' && body['code'] === 'instance_locked')
  assert.equal(outcomes.length, 1)
  await removeFolders(own.folders)
})

test('no join state lies in the store or on the record in clear', async () => {
  const id = 'spiffe://test.example/agent/secretive'
  const workload = await renewed(await joined(authority, id))
  const secret = workload.joinState.split('.')[1] ?? ''
  for (const { path, bytes } of await filesBelow(authority.folders.stateDir)) assert.ok(!bytes.includes(secret), path)
})
