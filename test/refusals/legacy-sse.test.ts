/** HTTP+SSE of 2024-11-05 towards clients: the official client's calls, and who and what is refused on this transport. */

import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { audienceOf, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { officialClient } from '../fixtures/official-client.ts'
import type { OfficialClient } from '../fixtures/official-client.ts'
import { dial, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
let other: TestSvid
let nobody: TestSvid

before(async () => {
  server = await scriptedServer(({ body }, response) => {
    if (body === '') return void response.writeHead(405).end()
    const { id } = JSON.parse(body) as { id?: number }
    json(response, JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'done' }] } }))
  })
  gateway = await GatewayFixture.open({
    servers: {
      everything: { command: ['mcp-server-everything'], legacySse: true },
      scripted: { url: server.url, legacySse: true },
      modern: { url: server.url },
    },
    roles: {
      caller: ['tools/call:everything/echo', 'tools/call:everything/get-sum', 'tools/call:scripted/read_*'],
      other: ['tools/call:scripted/read_*', 'tools/call:modern/*'],
    },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['caller'] })
  other = await gateway.trust.issue('agent/other', { roles: ['other'] })
  nobody = await gateway.trust.issue('agent/nobody')
})
after(async () => {
  await gateway.close()
  await server.close()
})

async function official(svid: TestSvid, name: string): Promise<OfficialClient> {
  const { host, port, ca, key, cert } = gateway.connection(svid)
  const token = await gateway.trust.token(svid, audienceOf(name))
  const url = `https://${host}:${port}/sse/${name}`
  const setup = { url, key, cert, anchors: ca, token, capabilities: { roots: { listChanged: true } } }
  return officialClient(setup, 'official-sse-process.ts')
}

test('the official client opens a session, lists what it may call, calls, and is denied the rest by name', async () => {
  const client = await official(agent, 'everything')
  const { tools } = await client.call<{ tools: readonly { name: string }[] }>('listTools')
  deepEqual(tools.map(({ name }) => name).toSorted(), ['echo', 'get-sum'])
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, a) => client.call('callTool', { name: 'get-sum', arguments: { a, b: 1 } })),
  )
  for (const [a, answer] of answers.entries()) match(JSON.stringify(answer), new RegExp(`of ${a} and 1 is ${a + 1}\\.`))
  const denied = await client.call('callTool', { name: 'get-env', arguments: {} })
  equal(denied['isError'], true)
  match(JSON.stringify(denied), /policy_denied/)
  // The server asks for the roots of its client, of its own accord, on the stream.
  for (let looks = 0; looks < 50 && Number((await client.call('asked'))['asked']) === 0; looks++) await sleep(50)
  ok(Number((await client.call('asked'))['asked']) > 0)
  await client.close()
})

interface Opened {
  readonly socket: TLSSocket
  readonly endpoint: string
  /** What has come so far. */
  readonly text: () => string
  readonly decision: string
}

async function head(method: string, target: string, parts: { svid: TestSvid; body?: string; token?: string | null }) {
  const { svid, body = '' } = parts
  const token = parts.token === undefined ? await gateway.trust.token(svid, audienceOf(serverOf(target))) : parts.token
  const lines = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${gateway.host}`,
    ...(token === null ? [] : [`Authorization: Bearer ${token}`]),
    'Accept: text/event-stream',
    ...(method === 'POST' ? ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`] : []),
  ]
  return `${lines.join('\r\n')}\r\n\r\n${method === 'POST' ? body : ''}`
}

const serverOf = (target: string) => target.split('/')[2]?.split('?')[0] ?? ''

async function ask(method: string, target: string, parts: Parameters<typeof head>[2]): Promise<RawAnswer> {
  return gateway.raw(parts.svid, await head(method, target, parts))
}

async function open(svid: TestSvid, name = 'scripted'): Promise<Opened> {
  const socket = await dial(gateway.connection(svid))
  let text = await talk(socket, await head('GET', `/sse/${name}`, { svid }), (soFar) => soFar.includes('\ndata: '))
  socket.on('data', (part: Buffer) => (text += part.toString('latin1')))
  const [, endpoint = ''] = /event: endpoint\ndata: (\S+)/.exec(text) ?? []
  const decision = /doorward-decision: (\S+)/i.exec(text)?.[1] ?? ''
  return { socket, endpoint, text: () => text, decision }
}

async function until(look: () => boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + 5000; !look(); await sleep(10))
    if (performance.now() > deadline) throw new Error(`not seen in time: ${what}`)
}

const rpc = (method: string, params: object = {}, id: number | null = 1) =>
  JSON.stringify({ jsonrpc: '2.0', method, params, ...(id === null ? {} : { id }) })
const initialize = rpc('initialize', {
  protocolVersion: '2024-11-05',
  capabilities: {},
  clientInfo: { name: 'raw', version: '1' },
})
const call = (name: string) => rpc('tools/call', { name, arguments: {} }, 2)

describe('a stream', () => {
  test('says where messages go, on our own path, and carries their answers; messages are taken with 202', async () => {
    const stream = await open(agent)
    match(stream.endpoint, /^\/sse\/scripted\/message\?session=[\w-]{22}$/)
    const taken = await ask('POST', stream.endpoint, { svid: agent, body: initialize })
    deepEqual([taken.status, taken.body], [202, ''])
    await until(() => stream.text().includes('"serverInfo"'), 'the answer')
    equal(
      (await ask('POST', stream.endpoint, { svid: agent, body: rpc('notifications/initialized', {}, null) })).status,
      202,
    )
    equal((await ask('POST', stream.endpoint, { svid: agent, body: call('read_note') })).status, 202)
    await until(() => stream.text().includes('"done"'), 'the answer of the call')
    const before = server.reached.length
    await ask('POST', stream.endpoint, { svid: agent, body: call('write_note') })
    await until(() => stream.text().includes('policy_denied'), 'the denial')
    equal(server.reached.length, before)
    const entries = await gateway.entries()
    const denied = entries.findLast(({ body }) => body['action'] === 'tools/call')
    equal(denied?.body['code'], 'policy_denied')
    stream.socket.destroy()
    await until(() => gateway.sessions.size === 0, 'the end of the session')
    const opened = Number(stream.decision.split('#')[1])
    const outcomes = await gateway.entries('outcome')
    equal(outcomes.find(({ body }) => body['of'] === opened)?.body['status'], 'cancelled')
  })

  test('is of who has opened it: to everybody else its messages are those of no session', async () => {
    const stream = await open(agent)
    const sessions = gateway.sessions.size
    const early = await ask('POST', stream.endpoint, { svid: other, body: initialize })
    deepEqual([early.status, early.headers['doorward-code']], [404, 'session_unknown'])
    deepEqual([gateway.sessions.size, stream.text().includes('serverInfo')], [sessions, false])
    await ask('POST', stream.endpoint, { svid: agent, body: initialize })
    const before = server.reached.length
    for (const body of [initialize, call('read_note'), rpc('notifications/initialized', {}, null)]) {
      const refused = await ask('POST', stream.endpoint, { svid: other, body })
      deepEqual([refused.status, refused.headers['doorward-code']], [404, 'session_unknown'])
    }
    equal(server.reached.length, before)
    const own = stream.text()
    ok(!own.includes('session_unknown'))
    stream.socket.destroy()
  })

  test('ends with the role that allowed it, and its outcome says so', async () => {
    const stream = await open(other)
    const ended = new Promise((resolve) => stream.socket.once('close', resolve))
    gateway.trust.register('agent/other', [])
    gateway.trust.apply()
    await gateway.pipeline.review()
    await until(() => stream.text().endsWith('0\r\n\r\n'), 'the end of the stream')
    stream.socket.destroy()
    await ended
    const opened = Number(stream.decision.split('#')[1])
    const outcome = (await gateway.entries('outcome')).find(({ body }) => body['of'] === opened)
    deepEqual([outcome?.body['status'], outcome?.body['code']], ['failed', 'policy_denied'])
  })
})

/** Entries about opening streams wait until the work is done. */
async function whileOpeningWaits(work: (waiting: () => number) => Promise<void>): Promise<void> {
  const { record } = gateway
  const append = record.append.bind(record)
  const gate = Promise.withResolvers<void>()
  let waiting = 0
  Object.assign(record, {
    append: async (entry: Parameters<typeof append>[0]) => {
      if (Reflect.get(entry.body, 'action') === 'GET') {
        waiting++
        await gate.promise
      }
      return append(entry)
    },
  })
  try {
    await work(() => waiting)
  } finally {
    Object.assign(record, { append })
    gate.resolve()
  }
}

describe('who goes away', () => {
  test('while its stream is decided about leaves nothing open', async () => {
    const before = gateway.record.entries.length
    const ends = () => gateway.record.entries.slice(before).filter(({ kind }) => kind === 'outcome')
    await whileOpeningWaits(async (waiting) => {
      const socket = await dial(gateway.connection(agent))
      socket.write(await head('GET', '/sse/scripted', { svid: agent }))
      await until(() => waiting() === 1, 'the decision')
      socket.destroy()
      await until(() => gateway.listener.openConnections === 0, 'the end of the connection')
    })
    await until(() => ends().length > 0, 'the end of the stream')
    deepEqual(
      ends().map(({ body }) => body['status']),
      ['cancelled'],
    )
    equal(gateway.pipeline.open.size, 0)
  })

  test('with the connection of a message hears on its stream all the same', async () => {
    const stream = await open(agent, 'everything')
    await ask('POST', stream.endpoint, { svid: agent, body: initialize.replace('{}', '{"roots":{}}') })
    await until(() => stream.text().includes('"serverInfo"'), 'the answer')
    await whileOpeningWaits(async (waiting) => {
      const socket = await dial(gateway.connection(agent))
      const body = rpc('notifications/initialized', {}, null)
      await talk(socket, await head('POST', stream.endpoint, { svid: agent, body }), (text) => text.includes(' 202 '))
      await until(() => waiting() === 1, 'the decision')
      const connections = gateway.listener.openConnections
      socket.destroy()
      await until(() => gateway.listener.openConnections < connections, 'the end of the connection')
    })
    await until(() => stream.text().includes('"roots/list"'), 'what the server asks')
    stream.socket.destroy()
  })
})

describe('nothing is answered', () => {
  const targets = ['/sse/scripted', '/sse/scripted/message?session=AAAAAAAAAAAAAAAAAAAAAA'] as const

  test('without a token, or with one for another server or of another caller', async () => {
    for (const target of targets) {
      const method = target.includes('message') ? 'POST' : 'GET'
      const right = { svid: agent, body: call('read_note') }
      const wrong = [
        [null, 'token_missing'],
        [await gateway.trust.token(agent, audienceOf('everything')), 'token_audience'],
        [await gateway.trust.token(nobody, audienceOf('scripted')), 'token_binding'],
      ] as const
      for (const [token, code] of wrong)
        equal((await ask(method, target, { ...right, token })).headers['doorward-code'], code, `${target} ${code}`)
    }
  })

  test('to a caller without a role, by another method, at another path, or where it is not switched on', async () => {
    equal((await ask('GET', '/sse/scripted', { svid: nobody })).headers['doorward-code'], 'policy_denied')
    for (const [method, target] of [
      ['POST', targets[0]],
      ['GET', targets[1]],
      ['DELETE', targets[0]],
      ['PUT', targets[1]],
    ] as const)
      equal((await ask(method, target, { svid: agent })).headers['doorward-code'], 'http_method', `${method} ${target}`)
    for (const target of ['/sse/modern', '/sse/', '/sse/none', '/sse/scripted/', '/sse/scripted/messages'])
      equal((await ask('GET', target, { svid: agent })).headers['doorward-code'], 'path_unknown', target)
  })

  test('to messages that name no stream, or one that has ended', async () => {
    const stream = await open(agent)
    notEqual(stream.endpoint, '')
    stream.socket.destroy()
    await sleep(50)
    for (const target of [stream.endpoint, targets[1], '/sse/scripted/message'])
      equal(
        (await ask('POST', target, { svid: agent, body: initialize })).headers['doorward-code'],
        'session_unknown',
        target,
      )
  })
})
