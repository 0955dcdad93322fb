/**
 * Servers that fail, seen from the gateway: what they send is never passed on as an answer, their connections end, nothing
 * is carried out twice, and one that keeps failing is not asked for a while. Their neighbour answers all along.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { unreached } from '../fixtures/unreached.ts'

/** Writes bytes of its choice in answer to each request that is not the handshake. */
interface Hostile {
  readonly url: string
  answer: (socket: Socket, body: string) => void
  /** Calls that arrived. */
  readonly bodies: string[]
  readonly sockets: Set<Socket>
  /** On which the newest call arrived. */
  asked: Socket | null
  /** Stops or begins to listen, on the same port. */
  down(): Promise<void>
  up(): Promise<void>
}

async function hostile(): Promise<Hostile> {
  const sockets = new Set<Socket>()
  const bodies: string[] = []
  const one: Pick<Hostile, 'answer' | 'asked'> = { answer: () => undefined, asked: null }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
      if (end < 0 || text.length < end + 4 + length) return
      const body = text.slice(end + 4, end + 4 + length)
      text = text.slice(end + 4 + length)
      if (body.includes('"initialize"')) return void socket.write(response(200, handshake, 'Mcp-Session-Id: s\r\n'))
      // Neither is a call: what is told, and the gateway's refusal of what a server asks.
      if (body.includes('notifications/') || !body.includes('"method"')) return void socket.write(response(202, ''))
      bodies.push(body)
      one.asked = socket
      one.answer(socket, body)
    })
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await listen(0)
  const { port } = server.address() as AddressInfo
  return Object.assign(one, {
    url: `http://127.0.0.1:${port}/mcp`,
    bodies,
    sockets,
    down: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
    up: () => listen(port),
  })
}

const handshake = JSON.stringify({
  jsonrpc: '2.0',
  id: 0,
  result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'h', version: '1' } },
})

function response(status: number, body: string, headers = ''): string {
  return `HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`
}

const idOf = (body: string) => (JSON.parse(body) as { id: number }).id
const right = (body: string) => JSON.stringify({ jsonrpc: '2.0', id: idOf(body), result: { content: [] } })
const good: Hostile['answer'] = (socket, body) => void socket.write(response(200, right(body)))

let gateway: GatewayFixture
let bad: Hostile
let neighbour: ScriptedServer
let agent: TestSvid
let session: string
let other: string
let id = 1

before(async () => {
  bad = await hostile()
  neighbour = await scriptedServer(({ body }, answer) => json(answer, right(body)))
  gateway = await GatewayFixture.open({
    servers: {
      bad: { url: bad.url, effects: { read: ['read_*'] } },
      neighbour: { url: neighbour.url, effects: { read: ['read_*'] } },
    },
    roles: { all: ['*'] },
    limits: { responseMilliseconds: 400, concurrency: 4, messageBytes: 100_000 },
    circuit: { pauseMilliseconds: 1500, least: 1000 },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  session = await gateway.initialize(agent, 'bad')
  other = await gateway.initialize(agent, 'neighbour')
})

after(async () => {
  await gateway.close()
  await bad.down().catch(() => undefined)
  await neighbour.close()
})

function call(tool = 'write_note'): Promise<RawAnswer> {
  const body = `{"jsonrpc":"2.0","id":${++id},"method":"tools/call","params":{"name":"${tool}","arguments":{}}}`
  return gateway.rpc(agent, 'bad', { session, body })
}

async function neighbourAnswers(): Promise<void> {
  const body = `{"jsonrpc":"2.0","id":${++id},"method":"tools/call","params":{"name":"read_note","arguments":{}}}`
  equal((await gateway.rpc(agent, 'neighbour', { session: other, body })).status, 200)
}

/** The outcome on record of an answer. */
async function outcomeOf(answer: RawAnswer): Promise<Readonly<Record<string, unknown>>> {
  const of = Number(answer.headers['doorward-decision']?.split('#')[1])
  for (;;) {
    const outcome = (await gateway.entries('outcome')).find(({ body }) => body['of'] === of)
    if (outcome !== undefined) return outcome.body
    await sleep(5)
  }
}

/** A server that holds its caller for longer holds it for ever. */
const bounded = { timeout: 10_000 }

const piece = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`

const faults: readonly (readonly [name: string, code: string, answer: Hostile['answer']])[] = [
  ['a server that says nothing is upstream_timeout', 'upstream_timeout', () => undefined],
  [
    'a server that sends its head slowly is upstream_timeout',
    'upstream_timeout',
    (socket) => trickle(socket, 'HTTP/1.1 200 OK\r\nX: '),
  ],
  [
    'a server that sends its body slowly is upstream_timeout',
    'upstream_timeout',
    (socket) =>
      trickle(socket, 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n{"a":"'),
  ],
  [
    'a server that promises more bytes than it sends is upstream_timeout',
    'upstream_timeout',
    (socket, body) => void socket.write(response(200, right(body)).replace(/(Length: )\d+/, '$1500')),
  ],
  [
    'a server that promises more bytes than it sends and goes is upstream_unavailable',
    'upstream_unavailable',
    (socket, body) => void socket.end(response(200, right(body)).replace(/(Length: )\d+/, '$1500')),
  ],
  ['a server that goes at once is upstream_unavailable', 'upstream_unavailable', (socket) => void socket.destroy()],
  [
    'a server that sends Content-Length beside Transfer-Encoding is upstream_invalid',
    'upstream_invalid',
    (socket, body) => void socket.write(response(200, right(body), 'Transfer-Encoding: chunked\r\n')),
  ],
  [
    'a server that sends two Content-Lengths is upstream_invalid',
    'upstream_invalid',
    (socket, body) => void socket.write(response(200, right(body), 'Content-Length: 3\r\n')),
  ],
  [
    'a server that floods with informational answers is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(200)),
  ],
  [
    'a server that floods with headers is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${'X-Filler: 0123456789\r\n'.repeat(2000)}\r\n`),
  ],
  [
    'a server that floods with a body is upstream_invalid',
    'upstream_invalid',
    (socket) =>
      void socket.write(
        `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${piece('x'.repeat(10_000)).repeat(20)}`,
      ),
  ],
  [
    'a server that answers in another protocol is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write('SSH-2.0-OpenSSH_9.9\r\n'),
  ],
  [
    'a server that upgrades the connection is upstream_unavailable',
    'upstream_unavailable',
    (socket) => void socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
  ],
  [
    "a server that answers with somebody else's id is upstream_invalid",
    'upstream_invalid',
    (socket) => void socket.write(response(200, '{"jsonrpc":"2.0","id":99999,"result":{}}')),
  ],
  [
    'a server that answers with a request of its own is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write(response(200, '{"jsonrpc":"2.0","id":1,"method":"roots/list"}')),
  ],
  [
    'a server that redirects is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write(response(302, '', 'Location: http://127.0.0.1:1/\r\n')),
  ],
  [
    'a server that asks for credentials is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write(response(401, '')),
  ],
]

function trickle(socket: Socket, beginning: string): void {
  socket.write(beginning)
  const timer = setInterval(() => socket.write('x'), 20)
  socket.once('close', () => clearInterval(timer))
}

/** What ends the connection, because nobody knows where the next answer would begin. */
const ends = /slowly|promises|goes|beside|two|floods|protocol|upgrades/

for (const [name, code, answer] of faults) {
  test(name, bounded, async () => {
    bad.answer = answer
    const sent = bad.bodies.length
    const failing = call('read_note')
    await neighbourAnswers()
    const failed = await failing
    equal(failed.headers['doorward-code'], code)
    equal(failed.status, code === 'upstream_timeout' ? 504 : 502)
    equal(failed.body.includes('xxx') || failed.body.includes('roots/list'), false)
    const { code: recorded, explanation } = await outcomeOf(failed)
    equal(recorded, code)
    // The operator reads why; the caller does not.
    ok(
      typeof explanation === 'string' && explanation.length > 10 && !failed.body.includes(explanation),
      String(explanation),
    )
    equal(bad.bodies.length, sent + 1, 'it was sent once')
    // Another connection of the pool may be idle: what has failed is the one of this call.
    if (ends.test(name)) while (bad.asked?.destroyed === false) await sleep(5)
    bad.answer = good
    equal((await call()).status, 200)
  })
}

test('bytes after an answer are no answer to the next call', async () => {
  bad.answer = (socket, body) =>
    void socket.write(response(200, right(body)) + response(200, '{"jsonrpc":"2.0","id":1,"result":{"planted":true}}'))
  equal((await call()).status, 200)
  bad.answer = good
  const next = await call()
  equal(next.status, 200)
  equal(next.body.includes('planted'), false)
})

test('an early answer is an answer, and the connection is not used for the next', async () => {
  bad.answer = (socket, body) => void socket.end(response(200, right(body)))
  equal((await call()).status, 200)
  bad.answer = good
  equal((await call()).status, 200)
})

test('a stream that breaks off ends without an answer, and the record says why', async () => {
  bad.answer = (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n`)
    socket.write(piece(': hello\n\n'))
    setTimeout(() => socket.destroy(), 20)
  }
  const answer = await call()
  equal(answer.headers['content-type'], 'text/event-stream')
  equal(answer.body.includes('"result"'), false)
  const { code, explanation } = await outcomeOf(answer)
  equal(code, 'upstream_unavailable')
  ok(typeof explanation === 'string' && explanation.length > 10)
  bad.answer = good
  equal((await call()).status, 200)
})

test('a server has a bounded number of calls under way; one more is told to come back', async () => {
  bad.answer = () => undefined
  const before = bad.bodies.length
  const waiting = [call(), call(), call(), call()]
  while (bad.bodies.length < before + 4) await sleep(5)
  const sent = bad.bodies.length
  const over = await call()
  equal(over.status, 503)
  equal(over.headers['doorward-code'], 'upstream_busy')
  equal(over.headers['retry-after'], '1')
  equal((await outcomeOf(over))['code'], 'upstream_busy')
  equal(bad.bodies.length, sent)
  bad.answer = good
  deepEqual(
    (await Promise.all(waiting)).map(({ status }) => status),
    [504, 504, 504, 504],
  )
  equal((await call()).status, 200)
})

test('what reads is tried once more when nothing was sent; what writes is not', async () => {
  await bad.down()
  const write = await call('write_note')
  equal(write.headers['doorward-code'], 'upstream_unavailable')
  equal((await outcomeOf(write))['attempts'], undefined)
  const sent = bad.bodies.length
  const refused = unreached(bad.url)
  const reading = call('read_note')
  await refused
  await bad.up()
  const read = await reading
  equal(read.status, 200)
  deepEqual((({ status, attempts }) => ({ status, attempts }))(await outcomeOf(read)), {
    status: 'completed',
    attempts: 2,
  })
  equal(bad.bodies.length, sent + 1)
  const decisions = (await gateway.entries()).filter(({ body }) => body['decision'] === 'allow').length
  await call('read_note')
  equal((await gateway.entries()).filter(({ body }) => body['decision'] === 'allow').length, decisions + 1)
})

test('what was sent is never sent again', async () => {
  bad.answer = (socket) => void socket.destroy()
  const sent = bad.bodies.length
  equal((await call('read_note')).status, 502)
  equal(bad.bodies.length, sent + 1)
  bad.answer = good
  equal((await call()).status, 200)
})

test('five failures in a row open the circuit: nothing is sent, until one call shows that it is back', async () => {
  bad.answer = (socket) => void socket.destroy()
  for (let i = 0; i < 5; i++) equal((await call()).status, 502)
  const sent = bad.bodies.length
  const refused = await call()
  equal(refused.status, 503)
  equal(refused.headers['doorward-code'], 'upstream_circuit_open')
  equal(refused.headers['retry-after'], '2')
  equal((await outcomeOf(refused))['code'], 'upstream_circuit_open')
  const stream = await gateway.rpc(agent, 'bad', { session, method: 'GET' })
  equal(stream.headers['doorward-code'], 'upstream_circuit_open')
  equal(bad.bodies.length, sent)
  await neighbourAnswers()
  ok(gateway.dropped.includes('circuit of bad: open'))

  let release = () => undefined as unknown
  bad.answer = (socket, body) => {
    release = () => socket.write(response(200, right(body)))
  }
  await sleep(1400)
  const trial = call()
  while (bad.bodies.length === sent) await sleep(5)
  equal((await call()).headers['doorward-code'], 'upstream_circuit_open')
  equal(bad.bodies.length, sent + 1)
  bad.answer = good
  release()
  equal((await trial).status, 200)
  equal((await call()).status, 200)
  ok(gateway.dropped.includes('circuit of bad: closed'))
})
