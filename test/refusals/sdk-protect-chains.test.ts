/** Calls on somebody's behalf at a program that protects itself: the handler knows for whom, every link counts, and what is held against one ends the answer. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ConnectedIdentity } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { call, joined } from '../fixtures/authority/workload.ts'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
import type { ProtectedStage } from '../fixtures/protected-stage.ts'
import { idOf } from '../fixtures/sdk-stage.ts'

const middleAudience = 'https://middle.test.example'
let stage: ProtectedStage
let middle: ConnectedIdentity

before(async () => {
  stage = await openProtectedStage()
  middle = await stage.connect('service/middle', { roles: ['reader', 'writer'], audiences: [middleAudience] })
})
after(() => stage.close())

/** The middle calls for whoever has called it. */
async function through(first: ConnectedIdentity, path: string, init: RequestInit = {}): Promise<Response> {
  const onBehalfOf = await first.token(middleAudience)
  const expect = stage.callee.id.uri
  return middle.fetch(`${stage.audience}${path}`, { ...init, expect, token: { onBehalfOf } })
}

test('the handler knows who calls, for whom, and through whom', async () => {
  const first = await stage.connect('agent/first', { roles: ['reader'] })
  const answer = await through(first, '/orders/7')
  assert.equal(answer.status, 200)
  const told = (await answer.json()) as Readonly<Record<string, unknown>>
  assert.equal(told['presenter'], middle.id.uri)
  assert.equal(told['subject'], first.id.uri)
  assert.deepEqual(told['links'], [first.id.uri])
  const direct = await middle.fetch(`${stage.audience}/orders/7`, { expect: stage.callee.id.uri })
  assert.equal(((await direct.json()) as { subject: string }).subject, middle.id.uri)
})

test('what the first may not do nobody does for it', async () => {
  const first = await stage.connect('agent/reading', { roles: ['reader'] })
  const order = { method: 'POST', body: 'an order' }
  const reached = stage.reached.length
  const denied = await through(first, '/orders', order)
  assert.deepEqual([denied.status, denied.headers.get('doorward-code')], [403, 'policy_denied'])
  assert.equal(stage.reached.length, reached)
  const own = await middle.fetch(`${stage.audience}/orders`, { ...order, expect: stage.callee.id.uri })
  assert.equal(own.status, 200)
  assert.equal(stage.reached.length, reached + 1)
})

test('an open answer ends when somebody is removed for whom it is, and no other of the same caller does', async () => {
  const first = await stage.connect('agent/removed', { roles: ['reader'] })
  const mine = await middle.fetch(`${stage.audience}/stream`, { expect: stage.callee.id.uri })
  const theirs = await through(first, '/stream')
  const [own, reader] = [mine.body?.getReader(), theirs.body?.getReader()]
  assert.ok(own !== undefined && reader !== undefined)
  assert.equal((await reader.read()).done, false)
  const operator = await joined(stage.authority, idOf('operator/eve'), ['admin'])
  const admin = await RawClient.open(stage.authority.running.addresses.admin, operator)
  const token = await stage.token(operator, stage.callee.identity.authorityUrl)
  const gone = await call(admin, token, `DELETE /v1/workloads?id=${encodeURIComponent(first.id.uri)}`)
  admin.close()
  assert.equal(gone.status, 200)
  await assert.rejects(async () => {
    while (!(await reader.read()).done);
  })
  const decision = Number(theirs.headers.get('doorward-decision')?.split('#')[1])
  const outcome = async () =>
    (await stage.entries()).find(({ kind, body }) => kind === 'outcome' && body['of'] === decision)
  let ended = await outcome()
  while (ended === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 25))
    ended = await outcome()
  }
  assert.equal(ended.body['status'], 'failed')
  assert.match(String(ended.body['code']), /^(?:chain_denied|identity_denied|identity_unregistered)$/)
  assert.equal((await own.read()).done, false)
  await own.cancel()
})
