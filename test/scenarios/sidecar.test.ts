/** Sidecars that live on: certificates are replaced, streams end when they must, clocks differ, and the authority goes away. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { idOf } from '../fixtures/sdk-stage.ts'
import { askLocally, callerName, openSidecarStage, openStream, streamAnswer, until } from '../fixtures/sidecar-stage.ts'
import type { SidecarStage } from '../fixtures/sidecar-stage.ts'

let stage: SidecarStage

before(async () => {
  stage = await openSidecarStage((request, response) => {
    if (request.url === '/stream') streamAnswer(response)
    else response.end('an order')
  })
})
after(() => stage.close())

const right = () => askLocally(stage.outSocket, '/orders/7')

test('the socket of a sidecar says that it lives and serves, and nothing else', async () => {
  const status = async (path: string, method = 'GET') => (await askLocally(stage.ownSocket, path, { method })).status
  assert.deepEqual([await status('/livez'), await status('/readyz'), await status('/jwks.json')], [200, 200, 200])
  assert.deepEqual([await status('/'), await status('/jwks.json', 'POST')], [404, 405])
  const { keys } = JSON.parse((await askLocally(stage.ownSocket, '/jwks.json')).text) as { keys: object[] }
  assert.deepEqual(Object.keys(keys[0] ?? {}).toSorted(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
})

test('certificates are replaced on both sides, and no request fails', async () => {
  const { answer, ended } = await openStream(stage.outSocket)
  let over = false
  void ended.then(() => (over = true))
  const serials = () =>
    [stage.callee, stage.caller].map(({ identity }) => identity.identity.credentials.current().certificate.serial)
  const before = serials()
  const asking = new AbortController()
  const statuses: number[] = []
  const loop = (async () => {
    while (!asking.signal.aborted) statuses.push((await right()).status)
  })()
  await Promise.all([stage.callee.identity.identity.renew(), stage.caller.identity.identity.renew()])
  const count = statuses.length
  await until(() => (statuses.length > count + 10 ? true : undefined), 'more requests')
  asking.abort()
  await loop
  assert.ok(serials().every((serial, i) => serial !== before[i]))
  assert.deepEqual([...new Set(statuses)], [200])
  assert.equal(over, false)
  answer.destroy()
  await ended
})

test('a caller that is revoked in the middle of a stream gets no more of it, nor does its sidecar get in again', async () => {
  const { ended } = await openStream(stage.outSocket)
  await stage.authority.running.registerWorkload({ id: idOf(callerName), roles: [] }, 'test')
  await ended
  await until(() => (stage.tap.connections() === 0 ? true : undefined), 'the end at the program')
  const answer = await right()
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [403, 'policy_denied'])
  await stage.authority.running.registerWorkload({ id: idOf(callerName), roles: ['reader'] }, 'test')
  await until(async () => ((await right()).status === 200 ? true : undefined), 'the role again')
})

test('a local program that goes ends its call at the program behind the callee', async () => {
  const { answer } = await openStream(stage.outSocket)
  assert.ok(stage.tap.connections() > 0)
  answer.destroy()
  await until(() => (stage.tap.connections() === 0 ? true : undefined), 'the end of the connection')
})
