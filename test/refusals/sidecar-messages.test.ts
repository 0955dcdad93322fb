/** Programs behind sidecars that are asked by messages: an agent over A2A, an MCP server, and one of plain JSON-RPC. What is refused reaches neither. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, request as send } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { SendMessageRequest } from '@a2a-js/sdk'
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory } from '@a2a-js/sdk/client'
import { openAssertionVerifier } from '@doorward/sdk'
import { card, officialAgent, saying } from '../fixtures/agent-stage.ts'
import { idOf } from '../fixtures/sdk-stage.ts'
import { openV1 } from '../fixtures/official-peers.ts'
import { statefulMcp } from '../fixtures/stateful-mcp.ts'
import { askLocally, openSidecarStage, openTap, outboundOf, until } from '../fixtures/sidecar-stage.ts'
import type { Asked, LocalAsk, SidecarStage, Tap } from '../fixtures/sidecar-stage.ts'

interface Reached {
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const names = { agent: 'service/agent', ledger: 'service/ledger', notes: 'service/notes' } as const
const bodyBytes = 4096
const answer = '{"jsonrpc":"2.0","id":1,"result":1e400}'
/** What has reached the agent. */
const reached: Reached[] = []
/** In the place of the agent; null for that one. */
let instead: ((response: ServerResponse) => void) | null = null
let stage: SidecarStage
let program: Server
let ledger: Tap
let lead: string
let other: string
let toLedger: string
const mcp = statefulMcp()
let mcpProgram: Server
let toNotes: string
let toNotesToo: string
let ownSocket: string

before(async () => {
  stage = await openSidecarStage()
  const place = (name: string) => join(stage.folder, name)
  const origin = (i: number) => `https://127.0.0.1:${stage.ports[i]}`
  program = await openAgent(place('agent-program.sock'))
  ledger = openTap(place('ledger-program.sock'), (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
  })
  await ledger.listen()
  await writeFile(place('card.json'), JSON.stringify(card))
  ownSocket = place('agent-sidecar.sock')
  const inbound = (i: number, service: string) => `inbound:
  listen: 127.0.0.1:${stage.ports[i]}
  audience: ${origin(i)}
  service: ${service}
  forward: { socket: ${place(`${service}-program.sock`)}, answer_seconds: 5 }
  limits: { body_bytes: ${bodyBytes} }
`
  const asked = `  a2a: { card: ${place('card.json')} }
  roles: { lead: ["read:agent/*", "write:agent/*"], reader: ["read:agent/*"] }
`
  const methods = `  json_rpc: { methods: { account.balance: read, account.transfer: write } }
  roles: { lead: ["read:ledger/*"] }
`
  await stage.sidecar(names.agent, `socket: ${ownSocket}\n${inbound(2, 'agent')}${asked}`)
  await stage.sidecar(names.ledger, inbound(3, 'ledger') + methods)
  const tools = `  mcp: { effects: { read: ["read_*"] } }
  roles: { lead: ["tools/call:notes/read_*"] }
`
  mcpProgram = createServer((request, response) => void mcp.program(request, response, undefined as never))
  mcpProgram.listen({ path: place('notes-program.sock') })
  await once(mcpProgram, 'listening')
  await stage.sidecar(names.notes, inbound(1, 'notes') + tools)
  toNotes = await caller('reader', place('reader.sock'), origin(1), names.notes)
  toNotesToo = await caller('second', place('second.sock'), origin(1), names.notes)
  lead = await caller('lead', place('lead.sock'), origin(2), names.agent)
  other = await caller('other', place('other.sock'), origin(2), names.agent)
  toLedger = await caller('teller', place('teller.sock'), origin(3), names.ledger)
})

after(async () => {
  await stage.close()
  await ledger.close()
  for (const one of [program, mcpProgram]) {
    one.closeAllConnections()
    one.close()
  }
})

/** The official server at a socket; what reaches it is kept. */
async function openAgent(path: string): Promise<Server> {
  const official = await officialAgent('/a2a')
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { method = '', url = '', headers, socket } = request
      reached.push({ target: `${method} ${url}`, headers, body: Buffer.concat(parts).toString() })
      if (instead !== null) return instead(response)
      official(Object.assign(Readable.from(parts), { method, url, headers, socket }) as never, response)
    })
  })
  server.listen({ path })
  await once(server, 'listening')
  return server
}

/** A program beside a sidecar of its own, which may call; its socket, once it is known that it may. */
async function caller(name: string, socket: string, to: string, id: string): Promise<string> {
  await stage.sidecar(`agent/${name}`, outboundOf(socket, to, '', idOf(id)))
  await stage.authority.running.registerWorkload({ id: idOf(`agent/${name}`), roles: ['lead'] }, 'test')
  const path = '/.well-known/agent-card.json'
  const may = async () => (await askLocally(socket, path)).headers['doorward-code'] !== 'policy_denied'
  await until(async () => (await may()) || undefined, `${name} may call`)
  return socket
}

/** Of a program that knows nothing but its sidecar's socket. */
const through =
  (socketPath: string): typeof fetch =>
  async (input, init = {}) => {
    const { pathname: path } = new URL(String(input instanceof Request ? input.url : input))
    const headers = { ...Object.fromEntries(new Headers(init.headers)), host: 'agent.local' }
    const outgoing = send({ socketPath, path, method: init.method ?? 'GET', headers })
    outgoing.on('error', () => undefined)
    init.signal?.addEventListener('abort', () => outgoing.destroy())
    outgoing.end(typeof init.body === 'string' ? init.body : undefined)
    const [answered] = (await once(outgoing, 'response')) as [IncomingMessage]
    answered.on('error', () => undefined)
    const shown = new Headers(Object.entries(answered.headers).map(([name, value]) => [name, String(value)]))
    const body = Readable.toWeb(answered) as ReadableStream<Uint8Array>
    return new Response(body, { status: answered.statusCode ?? 0, headers: shown })
  }

function official(socket: string) {
  const fetchImpl = through(socket)
  const transports = [new JsonRpcTransportFactory({ fetchImpl })]
  return new ClientFactory({ transports, cardResolver: new DefaultAgentCardResolver({ fetchImpl }) }).createFromUrl(
    'https://agent.local',
  )
}

const json = { 'content-type': 'application/json' }
const modern = { ...json, 'a2a-version': '1.0' }
const rpc = (method: string, params: object) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
const post = (socket: string, path: string, body: string, more: LocalAsk = {}) =>
  askLocally(socket, path, { method: 'POST', headers: modern, body, ...more })
const asked = (text: string) => SendMessageRequest.fromJSON(saying(text))
const bare = (name: string) => name.slice(name.lastIndexOf('.') + 1)

async function begun(socket: string): Promise<string> {
  const before = reached.length
  const { text } = await post(socket, '/a2a', rpc('SendMessage', saying('ask')))
  assert.equal(reached.length, before + 1, text)
  return (JSON.parse(text) as { result: { task: { id: string } } }).result.task.id
}

/** Refused by the callee's sidecar, on its record with the code, and its program has heard nothing. */
async function refused(code: string, ask: () => Promise<Asked>, name: string = names.agent): Promise<Asked> {
  const before = [reached.length, ledger.reached.length]
  const answered = await ask()
  assert.equal(answered.headers['doorward-code'], code, answered.text)
  assert.deepEqual([reached.length, ledger.reached.length], before)
  const index = Number(String(answered.headers['doorward-decision']).split('#')[1])
  const entry = await until(async () => (await stage.entries(name))[index], `entry ${index}`)
  assert.equal(entry.body['code'], code)
  return answered
}

test('the official client asks the official server through both sidecars, which is told who it is about which message', async () => {
  const client = await official(lead)
  assert.equal((await client.getAgentCard()).name, 'Planner')
  assert.equal(reached.length, 0, 'the card is no question for the program')
  const task = await client.sendMessage(asked('ask me'))
  assert.ok('status' in task)
  assert.match(task.id, /^dwa\./)
  assert.equal((await client.getTask({ id: task.id, tenant: '', historyLength: undefined })).id, task.id)
  const { target, headers, body } = reached.at(-1) ?? assert.fail('not reached')
  assert.ok(body.includes(`"id":"${bare(task.id)}"`), body)
  assert.deepEqual([headers['a2a-version'], headers.authorization], ['1.0', undefined])
  const keys = async () => (await askLocally(ownSocket, '/jwks.json')).text
  const verifier = openAssertionVerifier({ issuer: idOf(names.agent), audience: 'agent', keys })
  const [method = '', path = ''] = target.split(' ')
  const about = { method, target: path, body: Buffer.from(body) }
  const verdict = await verifier.verify(String(headers['doorward-principal']), about)
  assert.ok(verdict.ok, JSON.stringify(verdict))
  assert.equal(verdict.claims.client_id, idOf('agent/lead'))
  const seen: string[] = []
  for await (const { payload } of client.sendMessageStream(asked('quick'))) seen.push(payload?.$case ?? '')
  assert.deepEqual(seen, ['task', 'statusUpdate', 'statusUpdate'])
})

const said = saying('word').message
const wrong: readonly (readonly [what: string, code: string, body: string, path?: string, type?: string])[] = [
  ['a method that nobody lists', 'method_unknown', rpc('EvalTask', {})],
  ['a batch', 'message_batch', `[${rpc('SendMessage', { message: said })}]`],
  ['a tenant', 'request_invalid', rpc('SendMessage', { message: said, tenant: 'other' })],
  [
    'a URL for notifications',
    'push_notification_refused',
    rpc('CreateTaskPushNotificationConfig', { taskId: 't', url: 'http://127.0.0.1/' }),
  ],
  ['another content type', 'content_type', rpc('SendMessage', { message: said }), '/a2a', 'text/plain'],
  [
    'another character set',
    'content_type',
    rpc('SendMessage', { message: said }),
    '/a2a',
    'application/json; charset=utf-7',
  ],
  ['a body that is too large', 'body_too_large', rpc('SendMessage', saying('x'.repeat(bodyBytes)))],
  ['another path', 'path_unknown', rpc('SendMessage', { message: said }), '/orders'],
  ['a query', 'request_invalid', rpc('SendMessage', { message: said }), '/a2a?x=1'],
]

for (const [what, code, body, path = '/a2a', type = 'application/json'] of wrong)
  test(`refused before the agent behind a sidecar: ${what}`, async () => {
    await refused(code, () => post(lead, path, body, { headers: { ...modern, 'content-type': type } }))
  })

test('behind a sidecar a task of another caller does not exist', async () => {
  const id = await begun(lead)
  for (const name of [id, bare(id)])
    for (const method of ['GetTask', 'CancelTask', 'SubscribeToTask']) {
      const { status, text } = await refused('handle_unknown', () => post(other, '/a2a', rpc(method, { id: name })))
      assert.deepEqual([status, text.includes('-32001')], [200, true])
    }
  assert.ok((await post(lead, '/a2a', rpc('GetTask', { id }))).text.includes(id))
})

test('behind a sidecar an answer that names a task of somebody else is told to nobody', async () => {
  const others = bare(await begun(other))
  instead = (response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { task: { id: others } } }))
  }
  const answered = await post(lead, '/a2a', rpc('SendMessage', { message: said }))
  instead = null
  assert.deepEqual([answered.status, answered.headers['doorward-code']], [502, 'upstream_invalid'], answered.text)
  assert.ok(!answered.text.includes(others))
  const index = Number(String(answered.headers['doorward-decision']).split('#')[1])
  const outcome = await until(
    async () => (await stage.entries(names.agent)).find(({ kind, body }) => kind === 'outcome' && body['of'] === index),
    'an outcome',
  )
  assert.equal(outcome.body['code'], 'upstream_invalid')
})

test('behind a sidecar a stream of a task ends when its caller loses the role', async () => {
  const headers = { ...modern, host: 'agent.local' }
  const outgoing = send({ socketPath: other, path: '/a2a', method: 'POST', headers })
  outgoing.end(rpc('SendStreamingMessage', saying('slow')))
  const [stream] = (await once(outgoing, 'response')) as [IncomingMessage]
  stream.on('error', () => undefined)
  const [first] = (await once(stream, 'data')) as [Buffer]
  assert.match(first.toString(), /"id":"dwa\./)
  const ended = new Promise<void>((resolve) => stream.once('close', () => resolve()))
  stream.resume()
  await stage.authority.running.registerWorkload({ id: idOf('agent/other'), roles: ['reader'] }, 'test')
  await ended
  await refused('policy_denied', () => post(other, '/a2a', rpc('SendMessage', { message: said })))
})

const toMcp = (socket: string, body: string, { method = 'POST', headers = {} }: LocalAsk = {}) =>
  askLocally(socket, '/mcp', {
    method,
    headers: { ...(method === 'POST' ? json : {}), accept: 'application/json, text/event-stream', ...headers },
    ...(method === 'POST' ? { body } : {}),
  })

test('behind a sidecar an MCP server holds sessions with the official client, each its caller’s alone', async () => {
  const url = new URL('https://notes.local/mcp')
  const peer = await openV1({ url, fetch: through(toNotes) })
  assert.deepEqual(
    (await peer.client.listTools()).tools.map(({ name }) => name),
    ['read_one', 'read_asked', 'read_slow'],
  )
  await peer.call('read_one')
  assert.match(JSON.stringify(await peer.call('read_asked')), /Ada/)
  const made = mcp.calls.length
  assert.ok(JSON.stringify(await peer.call('write_note')).includes('policy_denied'))
  assert.equal(mcp.calls.length, made)
  await until(() => mcp.heard.some(({ method }) => method === 'GET') || undefined, 'the stream of the session')
  await [...mcp.sessions.values()][0]?.server.sendLoggingMessage({ level: 'info', data: 'said' })
  await peer.heard('notifications/message')
  await peer.close()
  assert.equal(mcp.sessions.size, 0)
  const clientInfo = { name: 'raw', version: '1' }
  const begin = rpc('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo })
  const id = String((await toMcp(toNotes, begin)).headers['mcp-session-id'])
  assert.match(id, /^[\w-]{22}$/)
  const headers = { 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' }
  const ask = rpc('tools/call', { name: 'read_one', arguments: {} })
  const before = mcp.heard.length
  const refusedMcp = (code: string, asking: () => Promise<Asked>) => refused(code, asking, names.notes)
  for (const method of ['POST', 'GET', 'DELETE'])
    assert.equal((await refusedMcp('session_unknown', () => toMcp(toNotesToo, ask, { method, headers }))).status, 404)
  await refusedMcp('session_unknown', () =>
    toMcp(toNotes, ask, { headers: { ...headers, 'mcp-session-id': [...mcp.sessions.keys()][0] ?? '' } }),
  )
  await refusedMcp('policy_denied', () => toMcp(toNotes, ask.replace('read_one', 'write_note'), { headers }))
  assert.equal(mcp.heard.length, before)
  assert.equal((await toMcp(toNotes, ask, { headers })).status, 200)
})

const call = (method: string, more = '') => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":[1]${more}}`

test('behind a sidecar declared methods of JSON-RPC are decided by the body, and delivered as it came', async () => {
  const ask = (body: string, type = 'application/json', path = '/rpc') =>
    post(toLedger, path, body, { headers: { 'content-type': type } })
  const read = await ask(call('account.balance'), 'Application/JSON; charset="UTF-8"')
  assert.deepEqual([read.status, read.text], [200, answer])
  const { headers, body } = ledger.reached.at(-1) ?? assert.fail('not reached')
  assert.deepEqual([headers['content-type'], body], ['application/json', call('account.balance')])
  for (const [code, refusing] of [
    ['policy_denied', () => ask(call('account.transfer'))],
    ['method_unknown', () => ask(call('account.close'))],
    ['message_batch', () => ask(`[${call('account.balance')}]`)],
    ['notification_unknown', () => ask('{"jsonrpc":"2.0","method":"account.balance"}')],
    ['json_duplicate_key', () => ask(call('account.balance', ',"method":"account.transfer"'))],
    ['content_type', () => ask(call('account.balance'), 'text/plain')],
    ['content_type', () => ask(call('account.balance'), 'application/json; charset=utf-16')],
    ['body_too_large', () => ask(call('account.balance', ' '.repeat(bodyBytes)))],
    ['path_unknown', () => ask(call('account.balance'), 'application/json', '/')],
  ] as const)
    await refused(code, refusing, names.ledger)
  assert.equal((await ask(call('account.balance'))).status, 200)
})
