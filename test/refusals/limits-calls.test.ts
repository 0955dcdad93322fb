/**
 * `limits.quotas`, `limits.streams_per_user`: calls per tool and workload, calls under way, bytes, and streams. What is over
 * is refused with the code, the limit and the time to come again; nothing reaches the server; the record counts it; and
 * other callers and tools go on.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { CallPlaces } from '@doorward/enforcement'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { callQuotas, quotaSettings } from '../../packages/server/src/config/quotas.ts'
import { answered, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { event, json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { Script, ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { headOnly } from './stage.ts'

const configured = parseConfiguration(
  `trust_domain: test.example
servers: { files: { url: "http://127.0.0.1:1", insecure_upstream: true }, twin: { command: [x] } }
limits:
  quotas:
    - { action: "tools/call:files/get_*", per_user: 3/min, workloads: ["spiffe://test.example/agent/*"] }
    - { action: "tools/call:files/slow_*", concurrent_per_user: 2 }
    - { action: "*", concurrent_per_user: 4 }
    - { action: "read:files/big_*", bytes_per_user: 200000/min }
  streams_per_user: 2
`,
  'doorward.yaml',
)

let script: Script = (_reached, response) => response.writeHead(500).end()
const places = new CallPlaces()
let server: ScriptedServer
let gateway: GatewayFixture

before(async () => {
  server = await scriptedServer((...call) => script(...call))
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url, effects: { read: ['get_*', 'big_*'] } }, twin: { url: server.url } },
    roles: { all: ['*'] },
    pipeline: { quotas: [...quotaSettings(configured), ...callQuotas(configured)], places },
  })
})
after(async () => {
  await gateway.close()
  await server.close()
})

interface Caller {
  readonly svid: TestSvid
  readonly session: string
}

async function callerOf(path: string, name = 'files'): Promise<Caller> {
  const svid = await gateway.trust.issue(path, { roles: ['all'] })
  return { svid, session: await gateway.initialize(svid, name) }
}

let ids = 0
let marks = 0

/** One call with a mark by which the server's requests are searched; its id is in the answer. */
function callOf(tool: string, padding = '') {
  const mark = `mark-${++marks}-`
  const params = { name: tool, arguments: { mark, padding } }
  return { mark, body: JSON.stringify({ jsonrpc: '2.0', id: ++ids, method: 'tools/call', params }) }
}

const resultOf = (body: string, text = 'done') =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: (JSON.parse(body) as { id: number }).id,
    result: { content: [{ type: 'text', text }] },
  })
const answers: Script = ({ body }, response) => json(response, resultOf(body))

async function passes({ svid, session }: Caller, tool: string, name = 'files'): Promise<RawAnswer> {
  const { body, mark } = callOf(tool)
  const answer = await gateway.rpc(svid, name, { session, body })
  equal(answer.headers['doorward-code'], 'allowed', answer.text)
  equal(server.having(mark).length, 1)
  return answer
}

/** Refused, told by which limit and when to come again, counted on the record, and nothing at the server. */
async function refused({ svid, session }: Caller, tool: string, code: string): Promise<RawAnswer> {
  const before = await countOf(code, svid)
  const { body, mark } = callOf(tool)
  const answer = await gateway.rpc(svid, 'files', { session, body })
  deepEqual([answer.status, answer.headers['doorward-code']], [429, code], answer.text)
  ok(Number(answer.headers['retry-after']) >= 1)
  equal(server.having(mark).length, 0)
  equal(await countOf(code, svid), before + 1)
  return answer
}

async function countOf(code: string, { id }: TestSvid): Promise<number> {
  const counted = (await gateway.entries('refusals')).map(({ body }) => body)
  const own = counted.filter(({ source, reason }) => source === id.uri && reason === code)
  return own.reduce((sum, { count }) => sum + Number(count), 0)
}

const limitOf = ({ headers }: RawAnswer) => [headers['ratelimit-policy'], headers['ratelimit']]

async function eventually(look: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5000
  while (!look()) {
    ok(performance.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('limits.quotas: a tool has a rate of its own for the workloads it names, told in RateLimit fields', async () => {
  script = answers
  const [agent, service] = [await callerOf('agent/rate'), await callerOf('service/rate')]
  for (let i = 0; i < 3; i++) await passes(agent, 'get_note')
  const answer = await refused(agent, 'get_other', 'limit_user')
  const name = '"tools/call:files/get_* of spiffe://test.example/agent/*"'
  deepEqual(limitOf(answer), [`${name};q=3;w=60`, `${name};r=0;t=${answer.headers['retry-after']}`])
  await passes(agent, 'put_note')
  for (let i = 0; i < 5; i++) await passes(service, 'get_note')
  await passes(await callerOf('agent/rate-other'), 'get_note')
})

/** A call whose answer waits until the test says so. */
async function begun({ svid, session }: Caller, tool: string, held: ServerResponse[]): Promise<TLSSocket> {
  const before = held.length
  const on = await dial(gateway.connection(svid))
  on.write(await gateway.request(svid, 'files', { session, body: callOf(tool).body }))
  await eventually(() => held.length > before, 'the call has not come')
  return on
}

test('limits.quotas: a caller has as many calls under way as it may; one that ends or breaks off makes room', async () => {
  const held: ServerResponse[] = []
  const bodies: string[] = []
  script = ({ body }, response) => {
    if (!body.includes('slow_')) return answers({ body, method: '', headers: {} }, response, response.req)
    held.push(response)
    bodies.push(body)
  }
  const [agent, other] = [await callerOf('agent/slow'), await callerOf('agent/slow-other')]
  const [first, second] = [await begun(agent, 'slow_a', held), await begun(agent, 'slow_b', held)]
  const answer = await refused(agent, 'slow_c', 'limit_concurrency')
  const name = '"tools/call:files/slow_*"'
  deepEqual(limitOf(answer), [`${name};q=2;qu="concurrent-requests"`, `${name};r=0;t=1`])
  await passes(agent, 'put_note')
  const third = await begun(other, 'slow_d', held)
  const whole = talk(first, '', answered)
  json(held[0]!, resultOf(bodies[0]!))
  equal(parseAnswer(await whole).status, 200)
  const fourth = await begun(agent, 'slow_e', held)
  await refused(agent, 'slow_f', 'limit_concurrency')
  second.destroy()
  await eventually(() => places.under(`${agent.svid.id.uri} tools/call:files/slow_* 2`) === 1, 'no room')
  const fifth = await begun(agent, 'slow_g', held)
  await refused(agent, 'slow_h', 'limit_concurrency')
  for (const on of [first, third, fourth, fifth]) on.destroy()
  await eventually(() => places.size === 0, 'a place was kept')
})

test('limits.quotas: the calls of all kinds together, and a refusal for another reason keeps no place', async () => {
  const held: ServerResponse[] = []
  script = (_reached, response) => void held.push(response)
  const agent = await callerOf('agent/all')
  const on = []
  for (const tool of ['put_a', 'put_b', 'slow_a', 'slow_b']) on.push(await begun(agent, tool, held))
  deepEqual(limitOf(await refused(agent, 'put_c', 'limit_concurrency'))[0], '"*";q=4;qu="concurrent-requests"')
  const { status } = await gateway.rpc(agent.svid, 'files', {
    session: agent.session,
    body: '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"none"}}',
  })
  equal(status, 202)
  for (const one of on) one.destroy()
  await eventually(() => places.size === 0, 'a place was kept')
})

test('limits.quotas: bytes of requests and answers count; whoever owes is refused until they have come back', async () => {
  const text = 'x'.repeat(150_000)
  script = ({ body }, response) => json(response, resultOf(body, text))
  const [agent, other] = [await callerOf('agent/bytes'), await callerOf('agent/bytes-other')]
  await passes(agent, 'big_a')
  await passes(agent, 'big_b')
  const answer = await refused(agent, 'big_c', 'limit_bytes')
  const name = '"read:files/big_*"'
  deepEqual(limitOf(answer), [
    `${name};q=200000;qu="content-bytes";w=60`,
    `${name};r=0;t=${answer.headers['retry-after']}`,
  ])
  await passes(agent, 'put_note')
  await passes(other, 'big_a')
})

/** The next outcome: it is written when its caller has the answer already. */
async function outcomeAfter(count: number): Promise<Readonly<Record<string, unknown>> | undefined> {
  for (let look = 0; look < 100; look++) {
    const outcomes = await gateway.entries('outcome')
    if (outcomes.length > count) return outcomes[count]?.body
    await sleep(50)
  }
  return undefined
}

test('limits.quotas: an answer that goes on beyond the bytes of its caller ends', async () => {
  const part = event(
    `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"${'y'.repeat(60_000)}"}}`,
  )
  script = (_reached, response) => {
    stream(response, part)
    const more = setInterval(() => response.write(part), 5)
    response.on('close', () => clearInterval(more))
  }
  const agent = await callerOf('agent/endless')
  const { body } = callOf('big_stream')
  const enough = (soFar: string) => answered(soFar) || soFar.length > 1_000_000
  const before = (await gateway.entries('outcome')).length
  const text = await gateway.rpc(agent.svid, 'files', { session: agent.session, body }, enough)
  equal(text.status, 200)
  ok(text.body.length > 150_000 && text.body.length < 1_000_000, String(text.body.length))
  equal((await outcomeAfter(before))?.['code'], 'limit_bytes')
  await refused(agent, 'big_c', 'limit_bytes')
})

test('limits.streams_per_user: a caller has so many streams open, whatever its sessions; one that closes makes room', async () => {
  script = (_reached, response) => stream(response, ': open\n\n')
  const agent = await callerOf('agent/streams')
  const twin = await gateway.initialize(agent.svid, 'twin')
  const open = async (name: string, session: string) => {
    const on = await dial(gateway.connection(agent.svid))
    const request = await gateway.request(agent.svid, name, {
      session,
      method: 'GET',
      headers: { Accept: 'text/event-stream' },
    })
    return { on, answer: parseAnswer(await talk(on, request, headOnly)) }
  }
  const first = await open('files', agent.session)
  const second = await open('twin', twin)
  deepEqual([first.answer.status, second.answer.status], [200, 200])
  const reached = server.reached.length
  for (const [name, session] of [
    ['files', agent.session],
    ['twin', twin],
  ] as const) {
    const third = await open(name, session)
    deepEqual([third.answer.status, third.answer.headers['doorward-code']], [429, 'stream_limit'])
    equal(limitOf(third.answer)[0], '"streams";q=2;qu="concurrent-requests"')
    third.on.destroy()
  }
  equal(server.reached.length, reached)
  const refusals = (await gateway.entries()).filter(({ body }) => body['code'] === 'stream_limit')
  equal(refusals.length, 2)
  first.on.destroy()
  await eventually(() => places.under(`${agent.svid.id.uri} streams 2`) === 1, 'no room')
  const again = await open('twin', twin)
  equal(again.answer.status, 200)
  for (const { on } of [second, again]) on.destroy()
  await eventually(() => places.size === 0, 'a place was kept')
})
