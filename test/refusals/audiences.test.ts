/** Audiences of workloads that are called by others: whom the authority mints tokens for, and who sees the whole trust state. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { publicUrl, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { call, joined, ownToken, requestToken, trustStateFor, tryEnrol } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

const idOf = (path: string) => `spiffe://test.example/${path}`
const audience = 'https://orders.test.example:9443/api'

let authority: TestAuthority
let operator: Workload
let caller: Workload
let callee: Workload

before(async () => {
  authority = await startTestAuthority()
  operator = await joined(authority, idOf('operator/eve'), ['admin'])
  caller = await joined(authority, idOf('agent/caller'), ['reader'])
  callee = await joined(authority, idOf('service/orders'))
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

const codeOf = ({ headers }: RawAnswer) => headers['doorward-code']

async function ask(what: string, body?: object): Promise<RawAnswer> {
  const client = await RawClient.open(authority.running.addresses.admin, operator)
  try {
    return await call(client, await ownToken(authority, operator), what, body)
  } finally {
    client.close()
  }
}

async function tokenAnswer(wanted: string): Promise<RawAnswer> {
  const client = await RawClient.open(authority.running.addresses.main, caller)
  try {
    return await requestToken(client, wanted)
  } finally {
    client.close()
  }
}

async function set(path: string, audiences: readonly string[]): Promise<RawAnswer> {
  const id = idOf(path)
  const { workload } = (await ask(`GET /v1/workload?id=${encodeURIComponent(id)}`)).json()
  const { revision } = workload as { readonly revision: number }
  const answer = await ask('PUT /v1/workloads', { id, audiences, revision })
  assert.equal(answer.status, 200, answer.text)
  return answer
}

test('a token is minted for an audience while a workload has it, and for nothing beside it', async () => {
  assert.equal(codeOf(await tokenAnswer(audience)), 'audience_unknown')
  assert.equal((await set('service/orders', [audience])).status, 200)
  assert.equal((await tokenAnswer(audience)).status, 200)
  for (const other of [`${audience}/`, `${audience}/x`, audience.slice(0, -1), audience.toUpperCase()])
    assert.equal(codeOf(await tokenAnswer(other)), 'audience_unknown', other)
  assert.equal((await set('service/orders', [])).status, 200)
  assert.equal(codeOf(await tokenAnswer(audience)), 'audience_unknown')
})

test('an audience belongs to one workload, and none of Doorward itself is registered', async () => {
  assert.equal((await set('service/orders', [audience])).status, 200)
  const taken = await ask('POST /v1/workloads', { id: idOf('service/thief'), audiences: [audience] })
  assert.deepEqual([taken.status, codeOf(taken)], [409, 'conflict'])
  const details = (taken.json()['error'] as { readonly details: object }).details
  assert.deepEqual(details, { reason: 'audience_taken', holder: { id: idOf('service/orders'), name: audience } })
  for (const own of [publicUrl, 'https://gateway.test.example/mcp/files']) {
    const refused = await ask('POST /v1/workloads', { id: idOf('service/thief'), audiences: [own] })
    assert.deepEqual([refused.status, codeOf(refused)], [400, 'request_invalid'], own)
  }
  const crowded = { id: idOf('service/thief'), audiences: ['https://x.example'] }
  const roles = Array.from({ length: 64 }, (_, i) => `role-${i}`)
  assert.equal(codeOf(await ask('POST /v1/workloads', { ...crowded, roles })), 'request_invalid')
  assert.equal((await ask('POST /v1/workloads', { ...crowded, roles: roles.slice(1) })).status, 201)
})

test('the role that the trust state gives to who is called cannot be registered', async () => {
  const refused = await ask('POST /v1/workloads', { id: idOf('agent/sly'), roles: ['doorward:callee'] })
  assert.equal(codeOf(refused), 'request_invalid')
})

test('who has an audience follows the whole trust state, and callers recognise its certificates', async () => {
  await set('service/orders', [])
  await assert.rejects(trustStateFor(authority, callee, 'full'))
  const seen = async () => (await trustStateFor(authority, caller)).state.issued.map(({ id }) => id)
  assert.ok(!(await seen()).includes(callee.id))
  await set('service/orders', [audience])
  const { state } = await trustStateFor(authority, callee, 'full')
  assert.ok(state.workloads.some(({ id, roles }) => id === caller.id && roles.includes('reader')))
  assert.deepEqual((await trustStateFor(authority, caller)).state.workloads, [])
  // The states of callers follow within a moment.
  for (let tries = 0; tries < 100 && !(await seen()).includes(callee.id); tries++)
    await new Promise((resolve) => setTimeout(resolve, 50))
  assert.ok((await seen()).includes(callee.id))
  await assert.rejects(trustStateFor(authority, caller, 'full'))
})

test('a return gets the scope that it asks for, when its workload has an audience', async () => {
  await set('service/orders', [audience])
  const scopeOf = async (who: Workload, scope?: string) => {
    const { id, machineKey, joinState } = who
    const { answer } = await tryEnrol(authority, {
      id,
      machineKey,
      joinState,
      ...(scope === undefined ? {} : { scope }),
    })
    assert.equal(answer.status, 200, answer.text)
    const { trust_state, join_state } = answer.json() as { trust_state: { payload: string }; join_state: string }
    const payload = JSON.parse(Buffer.from(trust_state.payload, 'base64').toString()) as { scope: string }
    return { scope: payload.scope, next: { ...who, joinState: join_state } }
  }
  const first = await scopeOf(callee)
  assert.equal(first.scope, 'callers')
  assert.equal((await scopeOf(first.next, 'full')).scope, 'full')
  assert.equal((await scopeOf(caller, 'full')).scope, 'callers')
  const wrong = await tryEnrol(authority, { id: callee.id, machineKey: callee.machineKey, scope: 'all' })
  assert.equal(codeOf(wrong.answer), 'request_invalid')
})
