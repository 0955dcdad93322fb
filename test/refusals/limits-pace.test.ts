/**
 * What one connection may cost: bodies that come slowly or in crumbs, answers that nobody takes, records that carry nothing,
 * JSON that is dear to read. Each ends with its code, nothing reaches the server, the record counts it, and others are served.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DEFAULT_JSON_LIMITS, scanJson } from '@doorward/core'
import { defaultBodyRules } from '../../packages/enforcement/src/wire/body-reader.ts'
import { ConnectionPace, defaultPaceRules } from '../../packages/enforcement/src/wire/connection-pace.ts'
import { defaultListenerLimits } from '../../packages/enforcement/src/wire/listener.ts'
import { answered, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { keyUpdater } from '../fixtures/key-updates.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { event, json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { Script, ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let script: Script = () => undefined
let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
let session: string

before(async () => {
  server = await scriptedServer((...call) => script(...call))
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url } },
    roles: { all: ['*'] },
    listener: {
      limits: {
        ...defaultListenerLimits,
        handshakes: { count: 10_000, periodSeconds: 1 },
        headersMilliseconds: 60_000,
        requestMilliseconds: 60_000,
        body: { ...defaultBodyRules, graceMilliseconds: 300 },
        pace: { ...defaultPaceRules, stallMilliseconds: 1500 },
      },
    },
  })
  agent = await gateway.trust.issue('agent/a', { roles: ['all'] })
  script = pong
  session = await gateway.initialize(agent, 'files')
})
after(async () => {
  await gateway.close()
  await server.close()
})

const pong: Script = (_reached, response) => json(response, '{"jsonrpc":"2.0","id":1,"result":{}}')
const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}'

async function served(): Promise<void> {
  equal((await gateway.rpc(agent, 'files', { session, body: ping })).status, 200)
}

async function eventually(look: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!look()) {
    ok(performance.now() < deadline, what)
    await sleep(5)
  }
}

/** A head that announces more than what is sent at once. */
async function headOf(length: number | 'chunked'): Promise<string> {
  const text = await gateway.request(agent, 'files', { session, body: ping })
  const coding = length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`
  return text.replace(/Content-Length: \d+/, coding).replace(ping, '')
}

test('a body that comes slower than a kilobyte in a second is refused, however steadily it comes', async () => {
  const reached = server.reached.length
  const on = await dial(gateway.connection(agent))
  const answer = talk(on, await headOf(100_000))
  const drip = setInterval(() => on.write('x'), 20)
  const { status, headers } = parseAnswer(await answer)
  clearInterval(drip)
  deepEqual([status, headers['doorward-code'], headers['connection']], [408, 'body_slow', 'close'])
  equal(server.reached.length, reached)
  const denied = (await gateway.entries()).at(-1)
  deepEqual([denied?.body['code'], denied?.body['caller']], ['body_slow', agent.id.uri])
  on.destroy()
  await served()
})

test('bodies have five seconds, and must bring a kilobyte in each', () =>
  deepEqual(defaultBodyRules, { bytesPerSecond: 1024, graceMilliseconds: 5000 }))

test('a body in crumbs is refused early, and a fair one in many pieces passes', async () => {
  const reached = server.reached.length
  const crumbs = `${await headOf('chunked')}${'1\r\nx\r\n'.repeat(100_000)}0\r\n\r\n`
  const refused = await gateway.raw(agent, crumbs)
  deepEqual([refused.status, refused.headers['doorward-code']], [400, 'request_malformed'])
  equal(server.reached.length, reached)
  const pieces = Array.from(ping, (byte) => `1\r\n${byte}\r\n`).join('')
  const passed = await gateway.raw(agent, `${await headOf('chunked')}${pieces}0\r\n\r\n`, answered)
  equal(passed.status, 200)
  equal(server.reached.at(-1)?.body, ping)
})

test('a caller that takes nothing of its stream is dropped, and one that reads slowly is not', async () => {
  const piece = event(
    `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"${'x'.repeat(60_000)}"}}`,
  )
  script = (_reached, response) => {
    stream(response)
    const more = () => {
      while (response.write(piece));
      response.once('drain', more)
    }
    more()
  }
  const before = gateway.refused.length
  const on = await dial(gateway.connection(agent))
  on.pause()
  on.write(await gateway.request(agent, 'files', { session, method: 'GET' }))
  await eventually(() => gateway.refused.length > before, 'the stream goes on')
  equal(gateway.refused.at(-1)?.reason, 'reader_slow')
  await eventually(() => gateway.listener.openConnections === 0, 'the connection is open')
  on.destroy()
  const slow = await dial(gateway.connection(agent))
  const reading = setInterval(() => void slow.read(65_536), 20)
  slow.write(await gateway.request(agent, 'files', { session, method: 'GET' }))
  await sleep(2600)
  equal(slow.destroyed, false)
  equal(gateway.refused.length, before + 1)
  clearInterval(reading)
  slow.destroy()
  script = pong
  await served()
})

test('a peer has ten seconds to take something, and must take a kilobyte for each', () => {
  const pace = new ConnectionPace()
  const look = (at: number, taken: number, waits: number) =>
    pace.look({ bytesRead: 0, bytesWritten: taken + waits, writableLength: waits }, 0, at)
  equal(look(0, 0, 100_000), null)
  equal(look(9999, 0, 100_000), null)
  equal(look(10_000, 10_240, 100_000), null)
  equal(look(19_999, 10_240, 100_000), null)
  equal(look(20_000, 20_479, 100_000), 'reader_slow')
  equal(look(20_001, 30_000, 0), null)
  equal(look(20_002, 30_000, 5), null)
  equal(look(30_001, 30_000, 5), null)
  equal(look(30_002, 30_000, 5), 'reader_slow')
})

test('a flood of key updates, which no request shows, ends the connection before it has cost a second of a core', async () => {
  const { host: _host, ...options } = gateway.connection(agent)
  const { handshakes } = gateway.listener
  const updater = await keyUpdater(options, () =>
    eventually(() => gateway.listener.handshakes > handshakes, 'no handshake'),
  )
  const few = updater.updates(50, true)
  const many = updater.updates(12_000, true)
  updater.socket.write(few)
  await sleep(600)
  equal(updater.socket.destroyed, false)
  const { length } = gateway.refused
  const before = process.cpuUsage()
  updater.socket.write(many)
  await eventually(() => updater.socket.destroyed, 'the flood goes on')
  const { user, system } = process.cpuUsage(before)
  ok(user + system < 1_000_000, `${user + system} µs`)
  deepEqual(
    gateway.refused.slice(length).map(({ reason }) => reason),
    ['record_flood'],
  )
  updater.close()
  await served()
})

test('records as small as can be are no flood while they carry requests', () => {
  const pace = new ConnectionPace()
  const look = (wire: number, read: number) =>
    pace.look({ bytesRead: read, bytesWritten: 0, writableLength: 0 }, wire, 0)
  equal(look(5000, 0), null)
  equal(look(250_000, 0), null)
  equal(look(40_000_000, 30_000_000), null)
  equal(look(270_000, 0), 'record_flood')
})

/** Integers that V8 hashes to few places when they are keys of an object, one below the limit of keys. */
const colliding = (count: number) => Array.from({ length: count }, (_, i) => `"${i * 4_194_304}":0`).join(',')

const bombs: Readonly<Record<string, string>> = {
  'colliding keys': `{"jsonrpc":"2.0","id":1,"method":"ping","params":{${colliding(9000)}}}`,
  'a hundred thousand keys': `{"jsonrpc":"2.0","id":1,"method":"ping","params":{${Array.from({ length: 100_000 }, (_, i) => `"${i}":0`).join(',')}}}`,
  'depth 100,000': `{"jsonrpc":"2.0","id":1,"method":"ping","params":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  'a string of a megabyte': `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${'\\u0041'.repeat(170_000)}"}}`,
  'escapes without end': `{"jsonrpc":"2.0","id":1,"method":"ping","params":"${'\\"'.repeat(500_000)}`,
  'a number of a megabyte': `{"jsonrpc":"2.0","id":${'9'.repeat(1_000_000)}}`,
}

test('JSON that is dear to read is refused, and holds up nobody', async () => {
  const reached = server.reached.length
  for (const [name, body] of Object.entries(bombs)) {
    const bytes = Buffer.from(body)
    const took = Math.min(
      ...[0, 1, 2].map(() => cpuOf(() => scanJson(bytes, { ...DEFAULT_JSON_LIMITS, maxBytes: 1_048_576 }))),
    )
    ok(took <= 20, `${name}: ${took} ms`)
    const { status } = await gateway.rpc(agent, 'files', { session, body })
    ok(status === 400 || status === 413 || status === 200, `${name}: ${status}`)
  }
  const passed = server.reached.slice(reached).length
  ok(passed <= 1, String(passed))
  await served()
})

/** Milliseconds of this thread. */
function cpuOf(run: () => unknown): number {
  const before = process.threadCpuUsage()
  run()
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1000
}
