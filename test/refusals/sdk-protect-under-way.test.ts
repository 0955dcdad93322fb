/** How many calls a program serves at once, and that whoever goes leaves its place, wherever on a connection its request stood. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defaultListenerLimits } from '@doorward/enforcement'
import type { Rate } from '@doorward/enforcement'
import { protect } from '@doorward/sdk'
import type { ProtectLimits } from '@doorward/sdk'
import { listenerLimitsOf } from '../../packages/sdk/src/protect/protect-limits.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
import type { ProtectedStage } from '../fixtures/protected-stage.ts'

let stage: ProtectedStage
const open: RawClient[] = []

before(async () => {
  stage = await openProtectedStage(undefined, { limits: { callsUnderWay: 4, callsUnderWayPerCaller: 2 } })
})
after(() => stage.close())

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 25))
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** Asks on one connection until it is answered with that status. */
async function answered(status: number, caller: Workload, token: string): Promise<void> {
  const client = await RawClient.open(stage.server.address, caller)
  await until(async () => (await client.request('GET', '/orders/7', { headers: bearer(token) })).status === status)
  client.close()
}

/** A call that stays under way. Those before it have ended for their caller a moment sooner than for the program. */
async function held(caller: Workload, token: string): Promise<void> {
  const before = stage.held.size
  while (stage.held.size === before) {
    const client = await RawClient.open(stage.server.address, caller)
    open.push(client)
    client.send('GET', '/held', { headers: bearer(token) })
    let refused = false
    void client.head().then(
      () => (refused = true),
      () => undefined,
    )
    await until(() => refused || stage.held.size === before + 1)
  }
}

async function release(): Promise<void> {
  for (const client of open.splice(0)) client.close()
  await until(() => stage.held.size === 0)
}

async function denied(code: string, status: number, caller: Workload, token: string): Promise<void> {
  const reached = stage.reached.length
  const answer = await stage.ask(caller, token, 'GET /orders/7')
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [status, code])
  assert.equal(answer.headers['retry-after'], '1')
  assert.equal(stage.reached.length, reached)
}

test('a caller has so many calls under way and no more, while others are served', async () => {
  const [busy, other] = [await stage.workload('agent/busy'), await stage.workload('agent/other')]
  const [token, otherToken] = [await stage.token(busy), await stage.token(other)]
  await held(busy, token)
  assert.equal((await stage.ask(busy, token, 'GET /orders/7')).status, 200)
  await held(busy, token)
  await denied('limit_concurrency', 429, busy, token)
  assert.equal((await stage.ask(other, otherToken, 'GET /orders/7')).status, 200)
  await release()
  await answered(200, busy, token)
})

test('all callers together have so many calls under way and no more', async () => {
  const callers = await Promise.all(['one', 'two', 'three'].map((name) => stage.workload(`agent/${name}`)))
  const [one, two, three] = callers
  assert.ok(one !== undefined && two !== undefined && three !== undefined)
  for (const caller of [one, one, two, two]) await held(caller, await stage.token(caller))
  const token = await stage.token(three)
  await denied('overloaded', 503, three, token)
  await release()
  await answered(200, three, token)
})

test('a body that is on its way takes a place', async () => {
  const slow = await stage.workload('agent/slow', ['writer'])
  const token = await stage.token(slow)
  const clients = await Promise.all([1, 2].map(() => RawClient.open(stage.server.address, slow)))
  for (const client of clients)
    client.send('POST', '/orders', { headers: { ...bearer(token), 'content-length': '5' }, body: 'x' })
  await answered(429, slow, token)
  for (const client of clients) client.close()
  await answered(200, slow, token)
})

test('requests that wait behind another on a connection that ends have ended too', async () => {
  const hasty = await stage.workload('agent/hasty')
  const token = await stage.token(hasty)
  const client = await RawClient.open(stage.server.address, hasty)
  const headers = bearer(token)
  client.send('GET', '/held', { headers })
  client.send('GET', '/held', { headers })
  await until(() => stage.held.size === 2)
  client.close()
  await until(() => stage.held.size === 0)
  await answered(200, hasty, token)
  const mine = async () =>
    (await stage.entries()).flatMap(({ kind, body }, i) =>
      kind === 'decision' && body['presenter'] === hasty.id && JSON.stringify(body).includes('/held') ? [i] : [],
    )
  await until(async () => {
    const decided: readonly unknown[] = await mine()
    const ends = (await stage.entries()).filter(({ kind, body }) => kind === 'outcome' && decided.includes(body['of']))
    return decided.length === 2 && ends.length === 2 && ends.every(({ body }) => body['status'] === 'cancelled')
  })
})

test('what was one too many is counted in the record, by caller and reason', async () => {
  await until(async () => {
    const counted = (await stage.entries()).filter(({ kind }) => kind === 'refusals').map(({ body }) => body)
    const of = (reason: string, name: string) =>
      counted.some((body) => body['reason'] === reason && String(body['source']).includes(name))
    return of('limit_concurrency', 'agent/busy') && of('overloaded', 'agent/three')
  })
})

test('limits that limit nothing are refused at the start', async () => {
  const folder = `${stage.folders.root}/limits`
  const rate = { count: 1, periodSeconds: 1 }
  const wrong: readonly (readonly [string, ProtectLimits])[] = [
    ['callsUnderWay', { callsUnderWay: 0 }],
    ['callsUnderWayPerCaller', { callsUnderWayPerCaller: Number.NaN }],
    ['bodyBytes', { bodyBytes: Infinity }],
    ['global.count', { global: { ...rate, count: Number.NaN } }],
    ['perAddress.count', { perAddress: { ...rate, count: 0 } }],
    ['perAddress.count', { perAddress: { ...rate, count: Infinity } }],
    ['perCaller.periodSeconds', { perCaller: { ...rate, periodSeconds: -1 } }],
    ['perCaller.burst', { perCaller: { ...rate, burst: Number.NaN } as Rate }],
    ['perCaller', { perCaller: 5 as never }],
    ['global', { global: null as never }],
    ['listener', { listener: null as never }],
    ['listener.handshakes', { listener: { handshakes: null as never } }],
    ['listener.body', { listener: { body: null as never } }],
    ['listener.pace', { listener: { pace: 7 as never } }],
    ['listener.handshakes.burst', { listener: { handshakes: { ...rate, burst: 0 } } }],
    ['listener.handshakes.count', { listener: { handshakes: { ...rate, count: -1 } } }],
    ['listener.connections', { listener: { connections: Number.NaN } }],
    ['listener.idleMilliseconds', { listener: { idleMilliseconds: 0 } }],
    ['listener.headerBytes', { listener: { headerBytes: '1' as never } }],
    ['listener.body.bytesPerSecond', { listener: { body: { bytesPerSecond: Number.NaN, graceMilliseconds: 1 } } }],
    ['listener.pace.overheadBytes', { listener: { pace: { stallMilliseconds: 1, bytesPerSecond: 1 } as never } }],
  ]
  for (const [where, limits] of wrong)
    await assert.rejects(
      protect(() => undefined, {
        identity: stage.callee,
        audience: stage.audience,
        listen: { host: '127.0.0.1', port: 0 },
        service: 'orders',
        routes: ['GET /x'],
        policy: { roles: {} },
        record: { folder, checkpoints: `${folder}-c` },
        limits,
        // One that was let through would keep the process of this test alive.
      }).then((server) => server.close(0)),
      { code: 'limit_invalid', where: `limits.${where}` },
    )
})

test('a limit of the listener that is not said is as by default', () => {
  const said = { connections: undefined, headerLines: 7 } as never
  assert.deepEqual(listenerLimitsOf(said), { ...defaultListenerLimits, headerLines: 7 })
})
