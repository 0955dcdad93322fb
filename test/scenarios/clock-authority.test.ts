/** An authority whose clock is set wrong: it signs nothing, brings nothing back to life, and goes on when the clock is right. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { epochMillis } from '@doorward/core'
import { generateP256 } from '@doorward/sdk'
import { startAuthority } from '../../packages/server/src/apps/authority.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { makeFolders, recordOf, removeFolders, settingsFor, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import {
  call,
  greeting,
  joined,
  joinToken,
  requestRenewal,
  requestToken,
  tokenFor,
  tryEnrol,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

const hour = 3_600_000
const agent = 'spiffe://test.example/agent/clock'
let authority: TestAuthority
let workload: Workload
let admin: Workload

before(async () => {
  authority = await startTestAuthority()
  workload = await joined(authority, agent)
  admin = await joined(authority, 'spiffe://test.example/doorward/operator/clock', ['admin'])
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

async function until(met: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await met())) {
    assert.ok(performance.now() < deadline, 'not in time')
    await sleep(50)
  }
}

/** Entries are read as far as a checkpoint covers them, and that follows a moment later. */
async function issuances(): Promise<number> {
  const count = async () => (await recordOf(authority.folders)).filter(({ kind }) => kind === 'issuance').length
  let before = -1
  let now = await count()
  while (before !== now) {
    await sleep(1500)
    before = now
    now = await count()
  }
  return now
}

async function answers<T>(
  identity: Workload,
  where: 'main' | 'admin',
  work: (client: RawClient) => Promise<T>,
): Promise<T> {
  const client = await RawClient.open(authority.running.addresses[where], identity)
  try {
    return await work(client)
  } finally {
    client.close()
  }
}

const tokenStatus = () => answers(workload, 'main', async (client) => (await requestToken(client)).status)

for (const [direction, step] of [
  ['forward', hour],
  ['back', -hour],
] as const) {
  test(`OP-11: a clock set ${direction} by an hour stops tokens, renewals, joins, heartbeats and changes until it is right`, async () => {
    const token = await answers(workload, 'main', tokenFor)
    const adminToken = await answers(admin, 'main', tokenFor)
    const { joinState } = workload
    const join = await joinToken(authority, agent)
    const before = await issuances()
    authority.step(step)
    assert.equal(await tokenStatus(), 503)
    await answers(workload, 'main', async (client) => {
      const renewal = await requestRenewal(client, token, { key: await generateP256(), joinState })
      assert.deepEqual([renewal.status, renewal.headers['doorward-code']], [503, 'authority_unready'])
      client.send('GET', '/v1/trust-state?follow=true', { headers: { authorization: `Bearer ${token}` } })
      await client.head()
      assert.match((await client.chunk()) ?? '', /"trust-state"/, 'what was signed before is still told')
    })
    const { answer } = await tryEnrol(authority, { token: join })
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [503, 'authority_unready'])
    await answers(admin, 'admin', async (client) => {
      const revoked = await call(client, adminToken, 'POST /v1/revocations', { workload: agent, reason: 'test' })
      assert.deepEqual([revoked.status, revoked.headers['doorward-code']], [503, 'authority_unready'])
      const added = await call(client, adminToken, 'POST /v1/workloads', { id: `${agent}/other` })
      assert.deepEqual([added.status, added.headers['doorward-code']], [503, 'authority_unready'])
      assert.equal((await call(client, adminToken, 'GET /v1/status')).status, 200)
    })
    assert.equal(await issuances(), before, 'something was issued')
    authority.step(-step)
    await until(async () => (await tokenStatus()) === 200)
    assert.equal((await tryEnrol(authority, { token: join })).answer.status, 200, 'the token was not used up')
  })
}

test('OP-11: a clock set back revives neither an expired token nor an expired certificate', async () => {
  const token = await answers(workload, 'main', tokenFor)
  const code = async () =>
    answers(
      workload,
      'main',
      async (client) => (await call(client, token, 'GET /v1/trust-state')).headers['doorward-code'],
    )
  assert.equal(await code(), 'allowed')
  authority.advance(10 * 60_000)
  await until(async () => (await code()) === 'token_expired')
  authority.step(-hour)
  assert.equal(await code(), 'token_expired')
  authority.step(hour)
  authority.advance(hour)
  await until(async () => (await code()) === 'certificate_expired')
  authority.step(-2 * hour)
  assert.equal(await code(), 'certificate_expired')
  assert.notEqual(await tokenStatus(), 200)
  authority.step(2 * hour)
})

test('every answer of the authority tells its time', async () => {
  const { addresses } = authority.running
  const near = (time: string | undefined) => assert.ok(Math.abs(Number(time) - Date.now()) < 3 * hour, `got ${time}`)
  near((await greeting(authority)).headers['doorward-time'])
  for (const name of ['main', 'admin', 'public'] as const) {
    const client = await RawClient.open(addresses[name], name === 'public' ? null : workload)
    near((await client.request('GET', '/livez')).headers['doorward-time'])
    client.close()
  }
})

test('OP-11: an authority whose clock is behind its own record waits until that time is past', async () => {
  const folders = await makeFolders()
  await (await startTestAuthority({ folders, offset: hour })).stop()
  const stopping = new AbortController()
  const codes: string[] = []
  let offset = 0
  const start = () =>
    startAuthority(settingsFor(folders), {
      signal: stopping.signal,
      report: (event) => event.type === 'warning' && codes.push(event.code),
      clock: () => epochMillis(Date.now() + offset),
    })
  const waiting = start()
  await until(() => codes.includes('clock_behind'))
  const before = (await recordOf(folders)).length
  offset = hour + 5000
  const running = await waiting
  assert.ok((await recordOf(folders)).length > before)
  stopping.abort()
  await running.stopped
  await removeFolders(folders)
})

test('an authority that waits for its clock can be stopped', async () => {
  const folders = await makeFolders()
  await (await startTestAuthority({ folders, offset: hour })).stop()
  const stopping = new AbortController()
  const report = () => stopping.abort()
  await assert.rejects(startAuthority(settingsFor(folders), { signal: stopping.signal, report }), { code: 'stopped' })
  await removeFolders(folders)
})
