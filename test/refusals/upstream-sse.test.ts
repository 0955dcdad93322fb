/** Servers behind HTTP+SSE (2024-11-05): the official one, and such as try what its one stream and named endpoint invite to. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { audienceOf, GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { officialClient } from '../fixtures/official-client.ts'
import type { OfficialClient } from '../fixtures/official-client.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

interface Opened {
  readonly server: Server
  readonly url: string
}

async function open(server: Server, path: string): Promise<Opened> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}` }
}

/** What reached the official server: headers and tools that ran. */
const seen: { readonly headers: IncomingHttpHeaders[]; readonly ran: string[]; streams: number } = {
  headers: [],
  ran: [],
  streams: 0,
}

function officialServer(): McpServer {
  const mcp = new McpServer({ name: 'official', version: '1' })
  for (const name of ['read_note', 'write_note']) {
    mcp.registerTool(name, {}, () => {
      seen.ran.push(name)
      return { content: [{ type: 'text', text: name }] }
    })
  }
  mcp.registerTool('read_sample', {}, async () => {
    const sampled = await mcp.server.createMessage({
      messages: [{ role: 'user', content: { type: 'text', text: 'x' } }],
      maxTokens: 5,
    })
    return { content: [{ type: 'text', text: JSON.stringify(sampled.content) }] }
  })
  return mcp
}

function official(): Promise<Opened> {
  // oxlint-disable-next-line no-deprecated -- a deprecated transport is what this is about
  const transports = new Map<string, SSEServerTransport>()
  const server = createServer((request, response) => {
    seen.headers.push(request.headers)
    if (request.method === 'GET') {
      // oxlint-disable-next-line no-deprecated -- a deprecated transport is what this is about
      const transport = new SSEServerTransport('/messages', response)
      transports.set(transport.sessionId, transport)
      seen.streams++
      response.once('close', () => seen.streams--)
      return void officialServer().connect(transport)
    }
    const id = new URL(request.url ?? '', 'http://x').searchParams.get('sessionId') ?? ''
    void transports.get(id)?.handlePostMessage(request, response)
  })
  return open(server, '/sse')
}

/** Writes a stream of its choice, and answers posts as it likes. */
interface Script {
  stream: (response: ServerResponse) => void
  post: (body: string, response: ServerResponse, stream: ServerResponse | null) => void
}

const posted: string[] = []
const script: Script = { stream: () => undefined, post: () => undefined }

function scripted(): Promise<Opened> {
  let stream: ServerResponse | null = null
  const server = createServer((request, response) => {
    if (request.method === 'GET') {
      stream = response
      return script.stream(response)
    }
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      posted.push(body)
      script.post(body, response, stream)
    })
  })
  return open(server, '/events')
}

const begin = (endpoint: string) => (response: ServerResponse) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  response.write(`event: endpoint\ndata: ${endpoint}\n\n`)
}

/** Answers the handshake and everything else. */
const serve: Script['post'] = (body, response, stream) => {
  response.writeHead(202).end('Accepted')
  const { id, method } = JSON.parse(body) as { id?: number; method: string }
  if (id === undefined) return
  const result = { protocolVersion: '2024-11-05', capabilities: {}, serverInfo: { name: 's', version: '1' } }
  const answer = JSON.stringify({ jsonrpc: '2.0', id, result: method === 'initialize' ? result : {} })
  stream?.write(`event: message\ndata: ${answer}\n\n`)
}

let real: Opened
let hostile: Opened
let elsewhere: Opened
let reachedElsewhere = 0
let gateway: GatewayFixture
let agent: TestSvid
let reader: TestSvid

before(async () => {
  real = await official()
  hostile = await scripted()
  elsewhere = await open(
    createServer((_request, response) => {
      reachedElsewhere++
      response.writeHead(202).end()
    }),
    '/messages',
  )
  gateway = await GatewayFixture.open({
    servers: {
      real: { url: real.url, transport: 'sse', effects: { read: ['read_*'] } },
      hostile: { url: hostile.url, transport: 'sse', effects: { read: ['read_*'] } },
    },
    roles: { all: ['*'], reader: ['read:real/*'] },
    limits: { responseMilliseconds: 400 },
    patienceMilliseconds: 300,
    circuit: { inARow: 1000, least: 1000 },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
})

after(async () => {
  await gateway.close()
  for (const { server } of [real, hostile, elsewhere]) {
    server.closeAllConnections()
    server.close()
  }
})

const call = (tool: string, id = 1) =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${tool}","arguments":{}}}`
const init =
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}'
/** The code by which the call failed, as an answer or at the end of a stream. */
const failureOf = (answer: RawAnswer) => messagesOf(answer).at(-1)?.error?.data?.['code']

/** A session of the hostile server, which has heard all of the handshake. */
async function initialized(): Promise<string> {
  const session = await gateway.initialize(agent, 'hostile')
  while (posted.at(-1)?.includes('notifications/initialized') !== true) await sleep(5)
  return session
}

async function connected(svid: TestSvid): Promise<OfficialClient> {
  return officialClient({
    url: `https://${gateway.host}/mcp/real`,
    ...svid.pem,
    anchors: gateway.trust.anchorsPem,
    token: await gateway.trust.token(svid, audienceOf('real')),
    capabilities: { sampling: {} },
  })
}

test('the official client reaches the official server: lists, calls, and requests of the server', async () => {
  const client = await connected(agent)
  const { tools } = await client.call<{ tools: { name: string }[] }>('listTools')
  deepEqual(
    tools.map(({ name }) => name),
    ['read_note', 'write_note', 'read_sample'],
  )
  match(JSON.stringify(await client.call('callTool', { name: 'write_note', arguments: {} })), /write_note/)
  match(JSON.stringify(await client.call('callTool', { name: 'read_sample', arguments: {} })), /sampled here/)
  equal(seen.streams, 1)
  await client.close()
  while (seen.streams > 0) await sleep(5)
  for (const headers of seen.headers) {
    for (const name of ['authorization', 'cookie', 'origin', 'mcp-session-id', 'x-forwarded-for'])
      equal(headers[name], undefined, name)
  }
})

test('lists are filtered and calls decided as on every transport; what is denied does not reach the server', async () => {
  const session = await gateway.initialize(reader, 'real')
  const listed = await gateway.rpc(reader, 'real', { session, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' })
  deepEqual(
    (messagesOf(listed)[0]?.result?.['tools'] as readonly { name: string }[] | undefined)?.map(({ name }) => name),
    ['read_note', 'read_sample'],
  )
  const ran = seen.ran.length
  equal((await gateway.rpc(reader, 'real', { session, body: call('read_note', 2) })).status, 200)
  equal(seen.ran.length, ran + 1)
  const arrived = seen.headers.length
  const denied = await gateway.rpc(reader, 'real', { session, body: call('write_note', 3) })
  equal(denied.headers['doorward-code'], 'policy_denied')
  equal(seen.headers.length, arrived)
  const sampling = await gateway.rpc(reader, 'real', { session, body: call('read_sample', 4) })
  equal(messagesOf(sampling).at(-1)?.result?.['isError'], true, 'the client has not declared sampling')
  await gateway.rpc(reader, 'real', { session, method: 'DELETE' })
  while (seen.streams > 0) await sleep(5)
})

test('an endpoint anywhere else than on the origin of the stream is refused, and nothing is sent there', async () => {
  script.post = serve
  const { port } = new URL(elsewhere.url)
  const own = new URL(hostile.url).host
  for (const endpoint of [
    elsewhere.url,
    `//127.0.0.1:${port}/messages`,
    `http://user:password@${own}/messages`,
    `https://${own}/messages`,
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    `/${'x'.repeat(3000)}`,
  ]) {
    script.stream = begin(endpoint)
    const posts = posted.length
    equal(failureOf(await gateway.rpc(agent, 'hostile', { body: init })), 'upstream_invalid', endpoint)
    equal(posted.length, posts)
  }
  equal(reachedElsewhere, 0)
  const codes = (await gateway.entries('outcome')).map(({ body }) => body['code'])
  ok(codes.includes('upstream_invalid'))
})

test('an endpoint is named once: a server that moves is not followed', async () => {
  script.stream = begin('/messages')
  script.post = (body, response, stream) => {
    stream?.write(`event: endpoint\ndata: ${elsewhere.url}\n\nevent: endpoint\ndata: /moved\n\n`)
    serve(body, response, stream)
  }
  const session = await initialized()
  equal((await gateway.rpc(agent, 'hostile', { session, body: call('read_x') })).status, 200)
  equal(reachedElsewhere, 0)
})

test('streams that are none, and endpoints that are not named, are failures of the server', async () => {
  const faults: readonly (readonly [string, Script['stream']])[] = [
    ['upstream_timeout', () => undefined],
    [
      'upstream_timeout',
      (response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(': x\n\n'),
    ],
    ['upstream_invalid', (response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>')],
    ['upstream_invalid', (response) => response.writeHead(302, { Location: elsewhere.url }).end()],
    ['upstream_invalid', (response) => response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end()],
    ['upstream_unavailable', (response) => response.writeHead(503).end()],
    ['upstream_unavailable', (response) => response.destroy()],
  ]
  for (const [code, stream] of faults) {
    script.stream = stream
    const answer = await gateway.rpc(agent, 'hostile', { body: init })
    equal(failureOf(answer), code)
    equal(answer.headers['www-authenticate'], undefined)
  }
  equal(reachedElsewhere, 0)
})

test('a message that is not taken fails its call; a redirect is not followed', async () => {
  script.stream = begin('/messages')
  script.post = serve
  const session = await initialized()
  for (const [status, code] of [
    [307, 'upstream_invalid'],
    [401, 'upstream_invalid'],
    [500, 'upstream_unavailable'],
  ] as const) {
    script.post = (_body, response) => response.writeHead(status, { Location: elsewhere.url }).end()
    equal(failureOf(await gateway.rpc(agent, 'hostile', { session, body: call('read_x', status) })), code)
  }
  script.post = () => undefined
  equal(failureOf(await gateway.rpc(agent, 'hostile', { session, body: call('read_x', 8) })), 'upstream_timeout')
  equal(reachedElsewhere, 0)
  script.post = serve
  equal((await gateway.rpc(agent, 'hostile', { session, body: call('read_x', 9) })).status, 200)
})

test("what a server sends that nobody asked for reaches nobody, and somebody else's answer least of all", async () => {
  script.stream = begin('/messages')
  script.post = (body, response, stream) => {
    stream?.write(`event: message\ndata: {"jsonrpc":"2.0","id":77,"result":{"planted":true}}\n\n`)
    stream?.write(`event: secret\ndata: {"jsonrpc":"2.0","id":1,"result":{"planted":true}}\n\n`)
    serve(body, response, stream)
  }
  const session = await initialized()
  const answer = await gateway.rpc(agent, 'hostile', { session, body: call('read_x') })
  deepEqual(messagesOf(answer), [{ jsonrpc: '2.0', id: 1, result: {} }])
})

test('a stream that ends answers whoever waits, and ends the session', async () => {
  script.stream = begin('/messages')
  script.post = serve
  const session = await initialized()
  script.post = (_body, response, stream) => {
    response.writeHead(202).end()
    stream?.destroy()
  }
  equal(failureOf(await gateway.rpc(agent, 'hostile', { session, body: call('read_x') })), 'upstream_unavailable')
  const after = await gateway.rpc(agent, 'hostile', { session, body: call('read_x', 2) })
  equal(after.headers['doorward-code'], 'session_unknown')
})

test('a session that the server has forgotten ends', async () => {
  script.stream = begin('/messages')
  script.post = serve
  const session = await initialized()
  script.post = (_body, response) => response.writeHead(404).end()
  equal(failureOf(await gateway.rpc(agent, 'hostile', { session, body: call('read_x') })), 'upstream_invalid')
  const after = await gateway.rpc(agent, 'hostile', { session, body: call('read_x', 2) })
  equal(after.headers['doorward-code'], 'session_unknown')
})
