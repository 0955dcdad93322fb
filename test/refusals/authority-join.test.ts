/** Joins that must be refused, each next to one that succeeds when only that one thing is right. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { generateP256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { recordOf, removeFolders, startTestAuthority, testSecurity } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import {
  call,
  enrolled,
  greeting,
  joined,
  joinToken,
  ownToken,
  selfSigned,
  trustStateFor,
  tryEnrol,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

let authority: TestAuthority
let watcher: Workload

before(async () => {
  authority = await startTestAuthority()
  watcher = await joined(authority, 'spiffe://test.example/doorward/gateway/watcher', ['gateway'])
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

function codeOf(answer: RawAnswer): string | undefined {
  return answer.headers['doorward-code']
}

async function registered(name: string): Promise<string> {
  const id = `spiffe://test.example/agent/${name}`
  await authority.running.registerWorkload({ id, roles: [] }, 'test')
  return id
}

async function liveCertificates(id: string): Promise<number> {
  const { state } = await trustStateFor(authority, watcher, 'full')
  return state.issued.filter((entry) => entry.id === id).length
}

test('a join token is good once', async () => {
  const id = await registered('once')
  const token = await joinToken(authority, id)
  enrolled(id, await tryEnrol(authority, { token }))
  assert.equal(codeOf((await tryEnrol(authority, { token })).answer), 'join_refused')
  assert.equal(await liveCertificates(id), 1)
})

test('of twenty concurrent joins with one token exactly one succeeds', async () => {
  const id = await registered('raced')
  const token = await joinToken(authority, id)
  const attempts = await Promise.all(Array.from({ length: 20 }, () => tryEnrol(authority, { token })))
  const codes = attempts.map(({ answer }) => codeOf(answer))
  assert.equal(codes.filter((code) => code === 'allowed').length, 1)
  assert.equal(codes.filter((code) => code === 'join_refused').length, 19)
  assert.equal(await liveCertificates(id), 1)
})

test('a token for one identity gives no other', async () => {
  const id = await registered('mine')
  const other = await registered('other')
  const token = await joinToken(authority, id)
  assert.equal(codeOf((await tryEnrol(authority, { token, id: other })).answer), 'join_refused')
  enrolled(id, await tryEnrol(authority, { token, id }))
  assert.equal(await liveCertificates(other), 0)
})

test('an unknown token is refused', async () => {
  assert.equal(codeOf((await tryEnrol(authority, { token: 'A'.repeat(43) })).answer), 'join_refused')
})

test('a proof by another key than the machine key is refused and the token stays good', async () => {
  const id = await registered('proof')
  const token = await joinToken(authority, id)
  assert.equal(codeOf((await tryEnrol(authority, { token, proofKey: await generateP256() })).answer), 'join_refused')
  enrolled(id, await tryEnrol(authority, { token }))
})

test('a return with another machine key than the bound one is refused', async () => {
  const id = 'spiffe://test.example/agent/bound'
  const workload = await joined(authority, id)
  assert.equal(codeOf((await tryEnrol(authority, { id })).answer), 'join_refused')
  enrolled(id, await tryEnrol(authority, { id, machineKey: workload.machineKey }))
})

test('a machine key does not return as another identity, nor without any', async () => {
  const workload = await joined(authority, 'spiffe://test.example/agent/self')
  const id = await registered('victim')
  const { machineKey } = workload
  assert.equal(codeOf((await tryEnrol(authority, { id, machineKey })).answer), 'join_refused')
  assert.equal(codeOf((await tryEnrol(authority, { machineKey })).answer), 'request_invalid')
})

test('a token and a machine key die with the registration', async () => {
  const id = 'spiffe://test.example/agent/gone'
  const workload = await joined(authority, id)
  const token = await joinToken(authority, id)
  const operator = await joined(authority, 'spiffe://test.example/doorward/operator/root', ['admin'])
  const client = await RawClient.open(authority.running.addresses.admin, operator)
  const bearer = await ownToken(authority, operator)
  assert.equal((await call(client, bearer, `DELETE /v1/workloads?id=${encodeURIComponent(id)}`)).status, 200)
  client.close()
  assert.equal(codeOf((await tryEnrol(authority, { token })).answer), 'join_refused')
  assert.equal(codeOf((await tryEnrol(authority, { id, machineKey: workload.machineKey })).answer), 'join_refused')
})

test('enrolment demands a client certificate, one route, POST and strict JSON', async () => {
  const { enrol } = authority.running.addresses
  const bare = await RawClient.open(enrol, null)
  const json = { 'content-type': 'application/json' }
  assert.equal(
    codeOf(await bare.request('POST', '/v1/enrol', { headers: json, body: '{"hello":1}' })),
    'certificate_missing',
  )
  bare.close()
  const client = await RawClient.open(enrol, await selfSigned(await generateP256()))
  assert.equal((await client.request('POST', '/v1/enrol', { headers: json, body: '{"hello":1}' })).status, 200)
  assert.equal(
    codeOf(await client.request('POST', '/v1/enrol', { headers: json, body: '{"hello":2}' })),
    'request_invalid',
  )
  assert.equal(
    codeOf(await client.request('POST', '/v1/enrol', { headers: json, body: '{"hello":1,"hello":1}' })),
    'json_duplicate_key',
  )
  assert.equal(codeOf(await client.request('GET', '/v1/enrol')), 'http_method')
  assert.equal(codeOf(await client.request('GET', '/v1/token')), 'path_unknown')
  client.close()
})

test('refused joins are on the record: one of a source and second says why, the others are counted; greetings leave none', async () => {
  const strict = await startTestAuthority()
  for (let count = 0; count < 5; count++) assert.equal((await greeting(strict)).status, 200)
  for (let count = 0; count < 5; count++) await tryEnrol(strict, { token: 'A'.repeat(43) })
  await strict.stop()
  const entries = await recordOf(strict.folders)
  const refusals = entries.filter(({ kind }) => kind === 'refusals')
  const joins = refusals.filter(({ body }) => body['reason'] === 'join_refused')
  const explained = entries.filter(({ body }) => body['code'] === 'join_refused')
  const counts = joins.map(({ body }) => Number(body['count']))
  assert.equal(counts.reduce((sum, count) => sum + count, 0) + explained.length, 5)
  assert.ok(explained.length > 0 && explained.every(({ body }) => body['explanation'] === 'the token is unknown'))
  assert.equal(refusals.length, joins.length)
  await removeFolders(strict.folders)
})

test('greetings and joins count against the limit of their address', async () => {
  const two = { count: 2, periodSeconds: 3600 }
  const connectionLimits = { ...testSecurity.connectionLimits, perIp: () => two }
  const limited = await startTestAuthority({ settings: { security: { ...testSecurity, connectionLimits } } })
  assert.equal((await greeting(limited)).status, 200)
  assert.equal((await greeting(limited)).status, 200)
  assert.equal(codeOf(await greeting(limited)), 'limit_ip')
  assert.equal(codeOf((await tryEnrol(limited, { token: 'A'.repeat(43) })).answer), 'limit_ip')
  await limited.stop()
  await removeFolders(limited.folders)
})

test('a flood of handshakes on the enrolment listener is cut before any cryptography', async () => {
  const handshakes = { count: 1, periodSeconds: 3600, burst: 2 }
  const security = { ...testSecurity, listenerLimits: { handshakes } }
  const limited = await startTestAuthority({ settings: { security } })
  assert.equal((await greeting(limited)).status, 200)
  const rest = await Promise.allSettled(Array.from({ length: 20 }, () => greeting(limited)))
  assert.ok(rest.filter(({ status }) => status === 'fulfilled').length <= 2)
  await limited.stop()
  const refusals = (await recordOf(limited.folders)).filter(({ kind }) => kind === 'refusals')
  assert.ok(refusals.some(({ body }) => body['reason'] === 'handshake_rate'))
  await removeFolders(limited.folders)
})

test('a join token ends after ten minutes', async () => {
  const late = await startTestAuthority()
  const id = 'spiffe://test.example/agent/late'
  await late.running.registerWorkload({ id, roles: [] }, 'test')
  const token = await joinToken(late, id)
  const second = await joinToken(late, id)
  late.advance(570_000)
  enrolled(id, await tryEnrol(late, { token }))
  late.advance(31_000)
  assert.equal(codeOf((await tryEnrol(late, { token: second })).answer), 'join_refused')
  await late.stop()
  await removeFolders(late.folders)
})
