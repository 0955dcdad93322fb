/** What reaches whom of the trust state: callers hear of what concerns them, gateways of everything. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { parseTrustMessage } from '@doorward/core'
import type { TrustScope, TrustState } from '@doorward/core'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { call, joined, openedState, ownToken, trustStateFor } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

let authority: TestAuthority
let operator: Workload
const streams: RawClient[] = []

before(async () => {
  authority = await startTestAuthority()
  operator = await joined(authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
})
after(async () => {
  for (const stream of streams) stream.close()
  await authority.stop()
  await removeFolders(authority.folders)
})

interface Follower {
  readonly states: TrustState[]
  heartbeats: number
}

/** Follows until the test ends, from the state that is the newest now on. */
async function follow(workload: Workload, scope: TrustScope): Promise<Follower> {
  const stream = await RawClient.open(authority.running.addresses.main, workload)
  streams.push(stream)
  const headers = { authorization: `Bearer ${await ownToken(authority, workload)}` }
  stream.send('GET', `/v1/trust-state${scope === 'full' ? '/full' : ''}?follow=true`, { headers })
  assert.equal((await stream.head()).status, 200)
  const follower: Follower = { states: [], heartbeats: 0 }
  const first = Promise.withResolvers<void>()
  const read = async () => {
    for (let line = await stream.chunk(); line !== null; line = await stream.chunk()) {
      const message = parseTrustMessage(line.trimEnd())
      assert.ok(!('code' in message))
      if (message.kind === 'heartbeat') follower.heartbeats++
      else follower.states.push(openedState(authority, line.trimEnd(), scope).state)
      first.resolve()
    }
  }
  // The connection ends with the test.
  read().catch(first.reject)
  await first.promise
  return follower
}

async function until(holds: () => boolean): Promise<void> {
  for (let attempt = 0; !holds(); attempt++) {
    assert.ok(attempt < 1000, 'in time')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function asOperator(what: string, body?: object): Promise<number> {
  const client = await RawClient.open(authority.running.addresses.admin, operator)
  try {
    return (await call(client, await ownToken(authority, operator), what, body)).status
  } finally {
    client.close()
  }
}

test('OP-6: callers get nothing but heartbeats while others come and are issued certificates; gateways get every change', async () => {
  const callers: Follower[] = []
  for (const name of ['one', 'two', 'three'])
    callers.push(await follow(await joined(authority, `spiffe://test.example/agent/${name}`), 'callers'))
  const gateway = await joined(authority, 'spiffe://test.example/doorward/gateway/sees', ['gateway'])
  await until(() => callers.every(({ states }) => states.length === 2))
  const full = await follow(gateway, 'full')
  const beats = callers.map(({ heartbeats }) => heartbeats)
  const ids = Array.from({ length: 8 }, (_, index) => `spiffe://test.example/agent/other-${index}`)
  for (const id of ids) await joined(authority, id, ['reader'])
  await until(() => ids.every((id) => full.states.at(-1)?.issued.some((one) => one.id === id)))
  await until(() => callers.every(({ heartbeats }, index) => heartbeats > (beats[index] ?? 0)))
  for (const { states } of callers) assert.equal(states.length, 2)
})

test('RV-1: a denial, and a certificate of a server, reach callers at once', async () => {
  const caller = await follow(await joined(authority, 'spiffe://test.example/agent/told'), 'callers')
  const { length } = caller.states
  const gateway = await joined(authority, 'spiffe://test.example/doorward/gateway/late', ['gateway'])
  await until(() => caller.states.length > length)
  assert.ok(caller.states.at(-1)?.issued.some(({ fingerprint }) => fingerprint === gateway.read.fingerprint))
  const victim = 'spiffe://test.example/agent/victim'
  await joined(authority, victim)
  assert.equal(await asOperator(`DELETE /v1/workloads?id=${encodeURIComponent(victim)}`), 200)
  await until(() => caller.states.at(-1)?.denied.identities.some(({ id }) => id === victim) === true)
})

test('callers learn of no workload, no role and no certificate but of the servers', async () => {
  const caller = await joined(authority, 'spiffe://test.example/agent/curious', ['secret-role'])
  const { state } = await trustStateFor(authority, caller)
  assert.deepEqual([state.scope, state.workloads], ['callers', []])
  for (const { id } of state.issued)
    assert.match(id, /^spiffe:\/\/test\.example\/doorward\/(authority|gateway\/[a-z]+)$/)
  assert.deepEqual(
    state.authorities.map(({ name, main }) => [name, main]),
    [['main', `127.0.0.1:${authority.running.addresses.main.port}`]],
  )
})

test('the full state is for gateways: a caller that asks for it is refused', async () => {
  const caller = await joined(authority, 'spiffe://test.example/agent/greedy')
  const client = await RawClient.open(authority.running.addresses.main, caller)
  const token = await ownToken(authority, caller)
  for (const query of ['', '?follow=true']) {
    const answer = await call(client, token, `GET /v1/trust-state/full${query}`)
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [403, 'policy_denied'])
    assert.match(answer.headers['doorward-decision'] ?? '', /^test\.example\/authority#\d+$/)
  }
  client.close()
})

test('OP-12: workloads are told where the operator says that the authority is reached, and may name that place', async () => {
  const places = { main: 'east.test.example:8446', enrol: 'east.test.example:8448' }
  const east = await startTestAuthority({ settings: { advertise: places } })
  try {
    const caller = await joined(east, 'spiffe://test.example/agent/far')
    const { state } = await trustStateFor(east, caller)
    assert.deepEqual(state.authorities, [{ name: 'main', ...places }])
    const answers = async (listener: 'main' | 'enrol', host: string) => {
      const client = await RawClient.open(east.running.addresses[listener], caller)
      const answer = await client.request('GET', '/nowhere', { headers: { host } })
      client.close()
      return answer.headers['doorward-code']
    }
    assert.equal(await answers('enrol', places.enrol), 'path_unknown')
    assert.equal(await answers('enrol', 'evil.example:8448'), 'host_unknown')
    assert.notEqual(await answers('main', places.main), 'host_unknown')
    assert.equal(await answers('main', 'evil.example:8446'), 'host_unknown')
  } finally {
    await east.stop()
    await removeFolders(east.folders)
  }
})
