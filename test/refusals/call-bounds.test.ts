/**
 * `limits` of a server or service: so many calls are under way there at once, and none takes longer than its deadline. Who is
 * refused is refused alone, and nothing of it reaches the server.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openBackendTap, plain } from '../fixtures/backend-stage.ts'
import type { Tap } from '../fixtures/backend-stage.ts'
import { answered, GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const bounds = { concurrent: 2, deadlineMilliseconds: 60_000 }
/** A process that answers calls of `quick`, says what it is asked to take back, and nothing else. */
const program = `
import { createInterface } from 'node:readline'
const say = (value) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...value }) + '\\n')
let taken = 0
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  if (method === 'initialize') say({ id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } } })
  if (method === 'notifications/cancelled') taken++
  if (params?.name === 'quick') say({ id, result: { content: [{ type: 'text', text: String(taken) }] } })
})
`

let folder: string
let server: ScriptedServer
let service: Tap
let gateway: GatewayFixture
let agent: TestSvid
let held: (() => void)[] = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-bounds-'))
  const file = join(folder, 'server.mjs')
  await writeFile(file, program)
  server = await scriptedServer(({ body }, response) => {
    const { id, params } = JSON.parse(body) as { id: number; params?: { name?: string } }
    const answer = () => json(response, `{"jsonrpc":"2.0","id":${id},"result":{"content":[]}}`)
    if (params?.name === 'held') held.push(answer)
    else if (params?.name !== 'silent') answer()
  })
  service = await openBackendTap()
  const late = { deadlineMilliseconds: 300 }
  const command = [process.execPath, file]
  gateway = await GatewayFixture.open({
    servers: {
      files: { url: server.url, bounds },
      late: { url: server.url, bounds: late },
      program: { command, bounds },
      lateprogram: { command, bounds: late },
      free: { url: server.url },
    },
    backends: { orders: { url: service.url, bounds }, slow: { url: service.url, bounds: late } },
    roles: { all: ['*'] },
    patienceMilliseconds: 100,
    circuit: { inARow: 1000, least: 1000 },
  })
  agent = await gateway.trust.issue('agent/a', { roles: ['all'] })
})
after(async () => {
  await gateway.close()
  await server.close()
  service.close()
  await rm(folder, { recursive: true })
})

let ids = 0
const callOf = (name: string) =>
  JSON.stringify({ jsonrpc: '2.0', id: ++ids, method: 'tools/call', params: { name, arguments: {} } })
const call = (on: string, session: string, name: string) => gateway.rpc(agent, on, { session, body: callOf(name) })

async function outcomeOf(answer: RawAnswer): Promise<unknown> {
  const of = Number(answer.headers['doorward-decision']?.split('#')[1])
  const deadline = performance.now() + 5000
  for (;;) {
    const found = (await gateway.entries('outcome')).find(({ body }) => body['of'] === of)
    if (found !== undefined) return found.body['code']
    if (performance.now() > deadline) throw new Error('there is no outcome')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function until(look: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!look()) {
    if (performance.now() > deadline) throw new Error('not seen in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('a server has no more calls under way than it may, whoever calls; what keeps a session going takes no place', async () => {
  const [one, two, other] = await Promise.all(['files', 'files', 'free'].map((on) => gateway.initialize(agent, on)))
  const underWay = [call('files', one ?? '', 'held'), call('files', two ?? '', 'held')]
  await until(() => held.length === 2)
  const reached = server.reached.length
  const refused = await call('files', one ?? '', 'quick')
  deepEqual(
    [refused.status, refused.headers['doorward-code'], refused.headers['retry-after']],
    [503, 'upstream_busy', '1'],
  )
  equal(server.reached.length, reached)
  equal(await outcomeOf(refused), 'upstream_busy')
  ok((await gateway.initialize(agent, 'files')) !== '')
  equal((await call('free', other ?? '', 'quick')).status, 200)
  for (const answer of held) answer()
  held = []
  for (const answer of await Promise.all(underWay)) equal(answer.status, 200)
  equal((await call('files', one ?? '', 'quick')).status, 200)
})

test('a program has no more calls under way than it may', async () => {
  const session = await gateway.initialize(agent, 'program')
  const open = await Promise.all([0, 1].map(() => dial(gateway.connection(agent))))
  for (const on of open) {
    const text = await gateway.request(agent, 'program', { session, body: callOf('silent') })
    await talk(on, text, (soFar) => soFar.includes('\r\n\r\n'))
  }
  const refused = await call('program', session, 'quick')
  deepEqual([refused.status, refused.headers['doorward-code']], [503, 'upstream_busy'])
  for (const on of open) on.destroy()
  // Those who have gone keep no place.
  for (;;) {
    const again = await call('program', session, 'quick')
    if (again.status === 200) break
    equal(again.headers['doorward-code'], 'upstream_busy')
  }
})

test('a service has no more calls under way than it may', async () => {
  const sockets: { write(text: string): unknown }[] = []
  service.answer = (socket) => void sockets.push(socket)
  const ask = async (on = 'orders') => {
    const token = await gateway.trust.token(agent, `https://gateway.test.example/http/${on}`)
    const text = `GET /http/${on}/v1/x HTTP/1.1\r\nHost: ${gateway.host}\r\nAuthorization: Bearer ${token}\r\n\r\n`
    return gateway.raw(agent, text, (soFar) => answered(soFar) || soFar.endsWith('0\r\n\r\n'))
  }
  const underWay = [ask(), ask()]
  await until(() => sockets.length === 2)
  const refused = await ask()
  deepEqual([refused.status, refused.headers['doorward-code']], [503, 'upstream_busy'])
  equal(service.requests.length, 2)
  equal(await outcomeOf(refused), 'upstream_busy')
  for (const socket of sockets) socket.write(plain('fine'))
  for (const answer of await Promise.all(underWay)) equal(answer.status, 200)
  // All of an answer counts for its deadline, an event stream that goes on and on too.
  service.answer = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    const timer = setInterval(() => socket.write('9\r\ndata: 1\n\n\r\n'), 20)
    socket.once('close', () => clearInterval(timer))
  }
  const late = await ask('slow')
  equal(late.status, 200)
  equal(late.text.endsWith('0\r\n\r\n'), false)
  equal(await outcomeOf(late), 'upstream_timeout')
})

test('a call ends with its deadline, and its server hears that nobody waits', async () => {
  const session = await gateway.initialize(agent, 'late')
  const late = await call('late', session, 'silent')
  deepEqual([late.status, late.headers['doorward-code']], [504, 'upstream_timeout'])
  equal(await outcomeOf(late), 'upstream_timeout')
  await until(() => server.reached.some(({ body }) => body.includes('notifications/cancelled')))
  equal((await call('late', session, 'quick')).status, 200)
})

test('so does one that has become a stream meanwhile, by a last message', async () => {
  const session = await gateway.initialize(agent, 'lateprogram')
  const text = await gateway.request(agent, 'lateprogram', { session, body: callOf('silent') })
  const late = parseAnswer((await gateway.raw(agent, text, (soFar) => soFar.endsWith('0\r\n\r\n'))).text)
  equal(late.status, 200)
  const [message] = messagesOf(late)
  equal(message?.error?.data?.['code'], 'upstream_timeout')
  equal(await outcomeOf(late), 'upstream_timeout')
  const quick = await call('lateprogram', session, 'quick')
  // It has heard of one cancellation.
  deepEqual(messagesOf(quick)[0]?.result?.['content'], [{ type: 'text', text: '1' }])
})
