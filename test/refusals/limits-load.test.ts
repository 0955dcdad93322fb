/**
 * Overload: while the event loop lags, new connections are closed before their handshake, then strangers' requests are
 * refused, and callers who are known are served; all ends by itself. And a listener that is full makes room.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { LoadShedding } from '@doorward/enforcement'
import { watchLoad } from '../../packages/server/src/apps/own-load.ts'
import { descriptorShare, ownLimits } from '../../packages/server/src/apps/own-listener.ts'
import { rowsOf } from '../../packages/server/src/observability/metric-rows.ts'
import { metricsText } from '../../packages/server/src/observability/metrics-text.ts'
import { Metrics } from '../../packages/server/src/observability/metrics.ts'
import { defaultListenerLimits } from '../../packages/enforcement/src/wire/listener.ts'
import { addressKey } from '../../packages/enforcement/src/wire/remote-address.ts'
import { answered, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const rate = { count: 1_000_000, periodSeconds: 60 }
const load = new LoadShedding()
let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid

before(async () => {
  server = await scriptedServer(({ body }, response) => json(response, body.replace('"method":"ping"', '"result":{}')))
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url } },
    roles: { all: ['*'] },
    pipeline: { load, connectionLimits: { global: rate, perIp: () => rate, ipKey: addressKey, load } },
    listener: {
      limits: {
        ...defaultListenerLimits,
        handshakes: { count: 10_000, periodSeconds: 1 },
        headersMilliseconds: 30_000,
        sheds: () => load.connectionRefusal(),
      },
    },
  })
  agent = await gateway.trust.issue('agent/a', { roles: ['all'] })
})
after(async () => {
  await gateway.close()
  await server.close()
})

let ids = 0

async function call(on: TLSSocket, session: string): Promise<RawAnswer> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: ++ids, method: 'ping' })
  return parseAnswer(await talk(on, await gateway.request(agent, 'files', { session, body }), answered))
}

const open = () => dial(gateway.connection(agent))

const cell = new Int32Array(new SharedArrayBuffer(4))

/** Keeps the event loop from turning, as too much to do does. */
function busy(): () => void {
  let on = true
  const block = () => {
    Atomics.wait(cell, 0, 0, 100)
    if (on) setTimeout(block, 1)
  }
  setTimeout(block, 1)
  return () => void (on = false)
}

async function eventually(look: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!look()) {
    ok(performance.now() < deadline, what)
    await sleep(5)
  }
}

test('a loop that lags sheds connections, then strangers, never known callers; it is told, counted and over by itself', async (context) => {
  const metrics = new Metrics(rowsOf.gateway)
  const watching = new AbortController()
  const watched = watchLoad(metrics, { dependencies: { load } }, watching.signal)
  const session = await gateway.initialize(agent, 'files')
  const known = await open()
  equal((await call(known, session)).status, 200)
  const stranger = await open()
  const relax = busy()
  context.after(() => {
    relax()
    watching.abort()
  })
  await eventually(() => load.level !== 'none', 'nothing is shed')
  ok((await open().catch(() => null)) === null)
  equal(gateway.refused.at(-1)?.reason, 'overloaded')
  await eventually(() => load.level === 'strangers', 'strangers are served')
  const reached = server.reached.length
  const refused = await call(stranger, session)
  deepEqual(
    [refused.status, refused.headers['doorward-code'], refused.headers['retry-after']],
    [503, 'overloaded', '1'],
  )
  equal(server.reached.length, reached)
  equal((await call(known, session)).status, 200)
  match(metricsText(await metrics.collect(), 'prometheus'), { handshakes: 1, strangers: 1, memory: 0 })
  relax()
  await eventually(() => load.level === 'none', 'it does not end')
  // Who was refused before the body was read comes back on another connection.
  const again = await open()
  equal((await call(again, session)).status, 200)
  match(metricsText(await metrics.collect(), 'prometheus'), { handshakes: 0, strangers: 0, memory: 0 })
  const counted = (await gateway.entries('refusals')).filter(({ body }) => body['reason'] === 'overloaded')
  deepEqual(
    counted.map(({ body }) => body['source']),
    ['127.0.0.1'],
  )
  for (const socket of [known, stranger, again]) socket.destroy()
  watching.abort()
  await watched
})

function match(text: string, told: Readonly<Record<string, number>>): void {
  for (const [what, value] of Object.entries(told))
    ok(text.includes(`doorward_shedding{what="${what}"} ${value}\n`), `${what} ${value}`)
}

test('a heap that is nearly full accepts nobody, and those who are there are served', async () => {
  const session = await gateway.initialize(agent, 'files')
  const known = await open()
  load.observeHeap(0.96)
  ok((await open().catch(() => null)) === null)
  equal(gateway.refused.at(-1)?.reason, 'memory_limit')
  equal((await call(known, session)).status, 200)
  load.observeHeap(0.5)
  ;(await open()).destroy()
  known.destroy()
})

test('a listener that is full closes the connection that has been idle for longest, and none with a request', async () => {
  const held: ServerResponse[] = []
  const slow = await scriptedServer((_reached, response) => void held.push(response))
  const small = await GatewayFixture.open({
    servers: { files: { url: slow.url } },
    roles: { all: ['*'] },
    listener: { limits: { ...defaultListenerLimits, connections: 3 } },
  })
  try {
    const caller = await small.trust.issue('agent/a', { roles: ['all'] })
    const session = await small.initialize(caller, 'files')
    await eventually(() => small.listener.openConnections === 0, 'a connection is left')
    const dialled = () => dial(small.connection(caller))
    const asked = async () =>
      small.request(caller, 'files', { session, body: `{"jsonrpc":"2.0","id":${++ids},"method":"ping"}` })
    const working = await dialled()
    working.write(await asked())
    await eventually(() => held.length === 1, 'the call has not come')
    const [idle, used] = [await dialled(), await dialled()]
    equal(parseAnswer(await talk(used, `GET /no HTTP/1.1\r\nHost: ${small.host}\r\n\r\n`)).status, 404)
    idle.resume()
    const newest = await dialled()
    await eventually(() => idle.destroyed, 'the idlest goes on')
    equal(small.refused.at(-1)?.reason, 'connection_idle')
    equal(small.listener.openConnections, 3)
    // Without a certificate nobody takes a place.
    const { host, port, ca } = small.connection(caller)
    for (let i = 0; i < 4; i++)
      await dial({ host, port, ca }).then(
        (on) => new Promise((resolve) => on.on('close', resolve)),
        () => null,
      )
    ok([working, used, newest].every((on) => !on.destroyed))
    json(held[0]!, `{"jsonrpc":"2.0","id":${ids},"result":{}}`)
    equal(parseAnswer(await talk(working, '', answered)).status, 200)
    for (const on of [working, used, newest]) on.destroy()
  } finally {
    await small.close()
    await slow.close()
  }
})

const doors = new Set(['edge', 'decisions'])

test('each listener of ours sheds by the load of its process, and takes its share of the file descriptors', () => {
  const own = new LoadShedding()
  const { sheds } = ownLimits('main', own)
  equal(sheds?.(), null)
  for (let i = 0; i < 4; i++) own.observe(60)
  equal(sheds?.(), 'overloaded')
  for (const descriptors of [1024, 4096, 20_000, 1_048_576]) {
    for (const names of [
      ['main', 'admin', 'enrol', 'public'],
      ['main', 'edge', 'admin', 'public'],
      ['main', 'decisions', 'admin', 'public'],
      ['main', 'edge', 'decisions', 'admin', 'public'],
    ]) {
      const taken = names.map((name) =>
        descriptorShare(name, descriptors, names.filter((one) => doors.has(one)).length),
      )
      const sum = taken.reduce(
        (all, { connections = 0, pendingHandshakes = 0 }) => all + connections + pendingHandshakes,
        0,
      )
      ok(sum <= 0.6 * descriptors, `${sum} of ${descriptors}`)
    }
  }
  deepEqual(descriptorShare('main', 20_000), { connections: 10_000, pendingHandshakes: 512 })
  deepEqual(descriptorShare('enrol', 20_000), { connections: 236, pendingHandshakes: 260 })
  deepEqual(descriptorShare('main', null), {})
})
