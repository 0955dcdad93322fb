/** Joins that must be refused, each next to one that succeeds when only that one thing is right. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { decodeTrustState, fromBase64url, parseTrustMessage } from '@doorward/core'
import { generateP256, sha256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { call, enrolled, joined, joinToken, ownToken, selfSigned, tryEnrol } from '../fixtures/authority/workload.ts'

let authority: TestAuthority

before(async () => {
  authority = await startTestAuthority()
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
  const client = await RawClient.open(authority.running.addresses.enrol, await selfSigned(await generateP256()))
  const answer = await client.request('POST', '/v1/enrol', {
    headers: { 'content-type': 'application/json' },
    body: '{"hello":1}',
  })
  client.close()
  const message = parseTrustMessage(JSON.stringify(answer.json()['trust_state']))
  assert.ok(!('code' in message))
  const state = decodeTrustState(fromBase64url(message.payload)!, sha256)
  return state?.issued.filter((entry) => entry.id === id).length ?? 0
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

test('a join token ends after ten minutes', async () => {
  const late = await startTestAuthority()
  const id = 'spiffe://test.example/agent/late'
  await late.running.registerWorkload({ id, roles: [] }, 'test')
  const token = await joinToken(late, id)
  const second = await joinToken(late, id)
  late.advance(599_000)
  enrolled(id, await tryEnrol(late, { token }))
  late.advance(2_000)
  assert.equal(codeOf((await tryEnrol(late, { token: second })).answer), 'join_refused')
  await late.stop()
  await removeFolders(late.folders)
})
