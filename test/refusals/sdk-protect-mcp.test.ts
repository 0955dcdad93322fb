/** An MCP server in a program that protects itself: judged by the body, lists by the decision that calls meet, and tools know who calls. */

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import { protect } from '@doorward/sdk'
import type { ConnectedIdentity, ProtectedListener } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { until } from '../fixtures/findings.ts'
import { openModern, openV1, openV2 } from '../fixtures/official-peers.ts'
import type { Called } from '../fixtures/official-peers.ts'
import { effects, mcpPrograms, roles, service, toolNames } from '../fixtures/protected-mcp.ts'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
import { statefulMcp } from '../fixtures/stateful-mcp.ts'
import type { ProtectedStage } from '../fixtures/protected-stage.ts'

const programs = mcpPrograms()
let program: ProtectedListener = programs.v2
let stage: ProtectedStage
let all: ConnectedIdentity
let narrow: ConnectedIdentity
let caller: Workload
let token: string

before(async () => {
  const handler: ProtectedListener = (...call) => program(...call)
  stage = await openProtectedStage(handler, { service, mcp: { effects }, policy: { roles } })
  all = await stage.connect('agent/all', { roles: ['all'] })
  narrow = await stage.connect('agent/narrow', { roles: ['narrow'] })
  caller = await stage.workload('agent/raw', ['reader'])
  token = await stage.token(caller)
})
after(() => stage.close())

/** The official transport calls by the identity of the SDK, over mutual TLS. */
const by = (identity: ConnectedIdentity): Called => ({
  url: new URL(`${stage.audience}/mcp`),
  fetch: (url, init) => identity.fetch(url, { ...init, expect: stage.callee.id.uri }),
})

const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

async function post(
  body: unknown,
  more: Record<string, string> = {},
  path = '/mcp',
  [who, own]: readonly [Workload, string] = [caller, token],
): Promise<RawAnswer> {
  const client = await RawClient.open(stage.server.address, who)
  try {
    const [method = '', at = ''] = path.includes(' ') ? path.split(' ') : ['POST', path]
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return await client.request(method, at, {
      headers: { authorization: `Bearer ${own}`, ...headers, ...more },
      ...(method === 'POST' ? { body: text } : {}),
    })
  } finally {
    client.close()
  }
}

const rpc = (method: string, params: object = {}) => ({ jsonrpc: '2.0', id: 7, method, params })
const callTool = (name: string) => rpc('tools/call', { name, arguments: {} })

/** Refused with the code and on record with it; nothing of it has reached the handler. */
async function refused(code: string, ask: () => Promise<RawAnswer>): Promise<RawAnswer> {
  const reached = stage.reached.length
  const answer = await ask()
  assert.equal(answer.headers['doorward-code'], code, answer.text)
  assert.equal(stage.reached.length, reached)
  assert.equal((await stage.entryOf(answer)).body['code'], code)
  return answer
}

for (const [generation, open] of [
  ['v1', openV1],
  ['v2', openV2],
] as const)
  test(`legacy era, client ${generation}: lists are filtered, calls decided, and tools know who calls`, async () => {
    for (const one of [programs.v1, programs.v2]) {
      program = one
      const wide = await open(by(all))
      assert.deepEqual((await wide.client.listTools()).tools.map(({ name }) => name).toSorted(), toolNames.toSorted())
      await wide.call('write_note')
      assert.deepEqual(programs.calls.at(-1), { tool: 'write_note', caller: all.id.uri, token: false })
      assert.equal((await wide.client.listResources()).resources.length, 1)
      await wide.close()
      const peer = await open(by(narrow))
      assert.deepEqual(
        (await peer.client.listTools()).tools.map(({ name }) => name),
        ['read_one'],
      )
      assert.deepEqual((await peer.client.listResources()).resources, [])
      await peer.call('read_one')
      assert.deepEqual(programs.calls.at(-1), { tool: 'read_one', caller: narrow.id.uri, token: false })
      const made = programs.calls.length
      const denied = await peer.call('read_two')
      assert.equal(denied['isError'], true)
      assert.ok(JSON.stringify(denied).includes('policy_denied'))
      assert.equal(programs.calls.length, made)
      await peer.close()
    }
  })

test('modern era: lists are filtered, calls decided, and tools know who calls', async () => {
  program = programs.v2
  const wide = await openModern(by(all))
  assert.equal(wide.version, '2026-07-28')
  assert.deepEqual((await wide.toolNames()).toSorted(), toolNames.toSorted())
  await wide.call('drop_all')
  assert.deepEqual(programs.calls.at(-1), { tool: 'drop_all', caller: all.id.uri, token: false })
  await wide.close()
  const peer = await openModern(by(narrow))
  assert.deepEqual(await peer.toolNames(), ['read_one'])
  const made = programs.calls.length
  assert.equal((await peer.call('drop_all'))['isError'], true)
  assert.equal(programs.calls.length, made)
  await peer.close()
})

test('a tool is called by its effect: who may read calls what only reads', async () => {
  program = programs.v1
  assert.equal((await post(callTool('read_one'))).status, 200)
  assert.equal(programs.calls.at(-1)?.tool, 'read_one')
  for (const tool of ['write_note', 'drop_all', 'unknown']) {
    const answer = await refused('policy_denied', () => post(callTool(tool)))
    assert.equal((answer.json()['result'] as { isError?: boolean }).isError, true)
  }
})

test('the body decides: a body that can be read in two ways, or says something else than its headers, is refused', async () => {
  const twice = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"drop_all","name":"read_one"}}'
  await refused('json_duplicate_key', () => post(twice))
  await refused('message_batch', () => post([callTool('read_one')]))
  await refused('message_header_mismatch', () => post(callTool('read_one'), { 'mcp-name': 'read_two' }))
  await refused('method_unknown', () => post(rpc('tools/explode')))
  await refused('subject_missing', () => post(rpc('tools/call', { name: 7 })))
  for (const type of ['text/plain', 'application/json; charset=utf-7'])
    await refused('content_type', () => post(callTool('read_one'), { 'content-type': type }))
  await refused('accept_type', () => post(callTool('read_one'), { accept: 'application/json' }))
})

test('another path, a query, a session or a task is nothing here', async () => {
  await refused('path_unknown', () => post(callTool('read_one'), {}, '/other'))
  await refused('request_invalid', () => post(callTool('read_one'), {}, '/mcp?tool=drop_all'))
  await refused('http_method', () => stage.ask(caller, token, 'GET /mcp'))
  await refused('http_method', () => stage.ask(caller, token, 'DELETE /mcp'))
  await refused('session_unknown', () => post(callTool('read_one'), { 'mcp-session-id': 'a-session' }))
  await refused('response_unexpected', () => post({ jsonrpc: '2.0', id: 1, result: {} }))
  await refused('method_unknown', () => post(rpc('tasks/get', { taskId: 'one' }), of2025))
  const asTask = rpc('tools/call', { name: 'read_one', arguments: {}, task: {} })
  await refused('request_invalid', () => post(asTask, of2025))
})

const good = '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"drop_all"},{"name":"read_one"}]}}'

test('a list that cannot be read without doubt is no answer', async () => {
  const list = '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"drop_all","Name":"read_one"}]}}'
  for (const [type, body, status] of [
    ['application/json', list, 200],
    ['application/json', 'no JSON', 502],
    ['text/plain', list, 502],
    ['text/event-stream', `data: ${list}\n\n`, 200],
    ['application/json', list.replace('"id":7', '"id":8'), 502],
  ] as const) {
    program = (_request, response) => void response.writeHead(200, { 'content-type': type }).end(body)
    const answer = await post(rpc('tools/list'))
    assert.equal(answer.status, status, body)
    assert.ok(answer.text.includes('upstream_invalid') && !answer.text.includes('drop_all'), answer.text)
    assert.equal((await stage.outcomeOf(answer)).body['code'], 'upstream_invalid')
  }
  program = (_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.write(`: hello\n\nevent: message\ndata: ${good.slice(0, 30)}`)
    response.end(`${good.slice(30)}\n\n`)
  }
  const answer = await post(rpc('tools/list'))
  assert.ok(answer.text.includes('"tools":[{"name":"read_one"}]'), answer.text)
})

test('an answer that is too large, compressed or a demand for credentials is refused, and its caller hears so', async () => {
  const errors: Error[] = []
  const part = Buffer.alloc(1_500_000, ' ')
  const writes: readonly ((response: ServerResponse) => void)[] = [
    (response) => {
      response.setHeader('content-type', 'application/json')
      for (let i = 0; i < 4; i++) response.write(part)
      response.end('{}')
    },
    (response) => response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'application/json' }).end(good),
    (response) => response.writeHead(401, { 'content-type': 'application/json' }).end('{}'),
    (response) => response.writeHead(302, { location: '/other' }).end(),
  ]
  for (const write of writes) {
    program = (_request, response) => {
      // A write after the end is one, upon which the listener ends the connection.
      response.on('error', (error) => errors.push(error))
      write(response)
    }
    const answer = await post(rpc('tools/list'))
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_invalid'])
    assert.ok('error' in answer.json(), answer.text)
  }
  assert.deepEqual(errors, [])
  program = programs.v2
})

const of2025 = { 'mcp-protocol-version': '2025-11-25' }
const clientInfo = { name: 'raw', version: '1' }
const initialize = (capabilities: object = {}) =>
  rpc('initialize', { protocolVersion: '2025-11-25', capabilities, clientInfo })

/** The headers of a session that the raw caller has opened. */
async function session(capabilities?: object): Promise<Record<string, string>> {
  const answer = await post(initialize(capabilities))
  const id = answer.headers['mcp-session-id'] ?? ''
  assert.match(id, /^[\w-]{22}$/)
  return { ...of2025, 'mcp-session-id': id }
}

for (const [generation, open] of [
  ['v1', openV1],
  ['v2', openV2],
] as const)
  test(`a server with sessions, client ${generation}: tools, its questions, its notifications and its end`, async () => {
    const stateful = statefulMcp()
    program = stateful.program
    const wide = await open(by(all))
    assert.deepEqual(
      (await wide.client.listTools()).tools.map(({ name }) => name),
      ['read_one', 'write_note', 'read_asked', 'read_slow'],
    )
    const peer = await open(by(narrow))
    assert.deepEqual(
      (await peer.client.listTools()).tools.map(({ name }) => name),
      ['read_one'],
    )
    // What the server asks its client is answered in the session in which it was asked.
    assert.match(JSON.stringify(await wide.call('read_asked')), /Ada/)
    assert.deepEqual(stateful.calls.at(-1), `read_asked ${all.id.uri}`)
    await peer.call('read_one')
    const made = stateful.calls.length
    assert.ok(JSON.stringify(await peer.call('write_note')).includes('policy_denied'))
    assert.equal(stateful.calls.length, made)
    // Each stream has what its reader may know: nothing of a resource that it may not read.
    let leaked = false
    void peer.heard('notifications/resources/updated').then(() => (leaked = true))
    await until(
      () => stateful.heard.filter(({ method }) => method === 'GET').length === 2 || undefined,
      'what the handler hears',
    )
    for (const server of stateful.sessions.values()) {
      await server.server.sendResourceUpdated({ uri: 'note://open' })
      await server.server.sendLoggingMessage({ level: 'info', data: 'after' })
    }
    assert.equal((await wide.heard('notifications/resources/updated')).params?.['uri'], 'note://open')
    await peer.heard('notifications/message')
    assert.equal(leaked, false)
    assert.equal(stateful.sessions.size, 2)
    await wide.close()
    await peer.close()
    assert.equal(stateful.sessions.size, 0)
  })

test('a session is its caller’s alone: to anybody else, and by any other name, there is none', async () => {
  const stateful = statefulMcp()
  program = stateful.program
  const own = await session()
  await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, own)
  const other = await stage.workload('agent/other', ['reader', 'all'])
  const theirs = [other, await stage.token(other)] as const
  await refused('session_missing', () => post(callTool('read_one'), of2025))
  await refused('session_missing', () => post('', of2025, 'GET /mcp'))
  for (const [id, who] of [
    [own['mcp-session-id'] ?? '', theirs],
    ['own-1', undefined],
    ['A'.repeat(22), undefined],
  ] as const)
    for (const at of ['POST /mcp', 'GET /mcp', 'DELETE /mcp']) {
      const named = { ...of2025, 'mcp-session-id': id }
      const answer = await refused('session_unknown', () => post(callTool('read_one'), named, at, who))
      assert.equal(answer.status, 404)
    }
  assert.equal((await post(callTool('read_one'), own)).status, 200)
  // The handler has only ever heard its own names.
  assert.deepEqual(new Set(stateful.heard.map(({ session: name }) => name)), new Set([undefined, 'own-1']))
  await refused('response_unexpected', () => post({ jsonrpc: '2.0', id: 1, result: {} }, own))
  assert.equal((await post('', own, 'DELETE /mcp')).status, 200)
  assert.equal(stateful.sessions.size, 0)
  await refused('session_unknown', () => post(callTool('read_one'), own))
})

test('sessions of one caller are so many and no more, and one that the handler has forgotten is none', async () => {
  const stateful = statefulMcp()
  program = stateful.program
  const first = await session()
  for (let i = 0; i < 8; i++) await session()
  // The one that was idle for longest has made room.
  await refused('session_unknown', () => post(callTool('read_one'), first))
  const own = await session()
  program = (_request, response) => void response.writeHead(404).end()
  assert.equal((await post(callTool('read_one'), own)).status, 404)
  program = stateful.program
  await refused('session_unknown', () => post(callTool('read_one'), own))
})

test('what a server asks that its client has not declared goes to nobody, and the server hears so', async () => {
  const stateful = statefulMcp()
  program = stateful.program
  const own = await session({ elicitation: {} })
  const heard: string[] = []
  const asks = ['sampling/createMessage', 'roots/list'].map((method, id) => ({
    jsonrpc: '2.0',
    id,
    method,
    params: {},
  }))
  const result = { jsonrpc: '2.0', id: 7, result: { content: [] } }
  const other = { jsonrpc: '2.0', id: 8, result: { content: [{ type: 'text', text: 'of another call' }] } }
  program = async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    heard.push(`${request.headers['mcp-session-id']?.toString().slice(0, 4)} ${Buffer.concat(parts).toString()}`)
    if (heard.length > 1) return void response.writeHead(202).end()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.end([...asks, other, result].map((one) => `data: ${JSON.stringify(one)}\n\n`).join(''))
  }
  const answer = await post(callTool('read_one'), own)
  assert.equal(answer.text.match(/data:/g)?.length, 1, answer.text)
  assert.ok(answer.text.includes('"id":7') && !answer.text.includes('of another call'))
  await until(() => heard.length === 3 || undefined, 'what the handler hears')
  assert.match(heard.at(-1) ?? '', /^own- .*-32601/)
})

test('a task is its caller’s alone, in both eras, and in no list of others', async () => {
  const stateful = statefulMcp()
  program = stateful.program
  const [own, other] = [await session(), await stage.workload('agent/tasks', ['reader'])]
  const theirs = [other, await stage.token(other)] as const
  const opened = await post(initialize(), {}, '/mcp', theirs)
  const their = { ...of2025, 'mcp-session-id': opened.headers['mcp-session-id'] ?? '' }
  const reached: string[] = []
  const answers = (result: object) => {
    program = async (request, response) => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      reached.push(Buffer.concat(parts).toString())
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id: 7, result }))
    }
  }
  const task = { taskId: 't-1', status: 'working', ttl: null, createdAt: '', lastUpdatedAt: '' }
  answers({ task })
  const asTask = rpc('tools/call', { name: 'read_one', arguments: {}, task: {} })
  assert.equal((await post(asTask, own)).status, 200)
  // Whoever is given it as well is told of a failure.
  assert.ok((await post(asTask, their, '/mcp', theirs)).text.includes('upstream_invalid'))
  answers({ tasks: [task, { ...task, taskId: 't-2' }] })
  assert.deepEqual((await post(rpc('tasks/list'), own)).json()['result'], { tasks: [task] })
  assert.deepEqual((await post(rpc('tasks/list'), their, '/mcp', theirs)).json()['result'], { tasks: [] })
  await refused('handle_unknown', () => post(rpc('tasks/get', { taskId: 't-1' }), their, '/mcp', theirs))
  await refused('handle_unknown', () => post(rpc('tasks/get', { taskId: 't-2' }), own))
  // The modern era: a state comes back to its server, from whom it was given to, and from nobody else.
  const modern = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'read_one' }
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': { elicitation: {} },
  }
  const call = (more: object = {}) => rpc('tools/call', { name: 'read_one', arguments: {}, _meta: meta, ...more })
  answers({ resultType: 'input_required', inputRequests: {}, requestState: 'where-we-were' })
  const waiting = (await post(call(), modern)).json()['result'] as { requestState: string }
  assert.match(waiting.requestState, /^dw1\..*\.where-we-were$/)
  const { requestState } = waiting
  await refused('handle_unknown', () => post(call({ requestState }), modern, '/mcp', theirs))
  await refused('handle_unknown', () => post(call({ requestState: 'where-we-were' }), modern))
  assert.equal((await post(call({ requestState }), modern)).status, 200)
  assert.ok(reached.at(-1)?.includes('"requestState":"where-we-were"'))
})

test('who loses the role in the middle of a call hears nothing of it later, and the handler hears that nobody waits', async () => {
  const stateful = statefulMcp()
  program = stateful.program
  const loser = await stage.workload('agent/loser', ['reader'])
  const own = await stage.token(loser)
  const opened = await post(initialize(), {}, '/mcp', [loser, own])
  const named = { ...of2025, 'mcp-session-id': opened.headers['mcp-session-id'] ?? '' }
  const client = await RawClient.open(stage.server.address, loser)
  const body = JSON.stringify(callTool('read_slow'))
  client.send('POST', '/mcp', { headers: { authorization: `Bearer ${own}`, ...headers, ...named }, body })
  assert.equal((await client.head()).status, 200)
  const closed = new Promise((resolve) => client.socket.once('close', resolve))
  await stage.authority.running.registerWorkload({ id: loser.id, roles: ['narrow'] }, 'test')
  await closed
  await until(() => stateful.cancelled.length === 1 || undefined, 'what the handler hears')
  await refused('stream_withheld', async () => {
    const again = await RawClient.open(stage.server.address, loser)
    const resumed = { authorization: `Bearer ${own}`, ...headers, ...named, 'last-event-id': '1' }
    again.send('GET', '/mcp', { headers: resumed })
    // A stream would not end.
    const head = await again.head()
    again.close()
    return { ...head, text: '', json: () => ({}) }
  })
  program = programs.v2
})

test('options of an MCP server that cannot be enforced are refused at the start', async () => {
  const folder = `${stage.folders.root}/mcp`
  const start = (more: object) =>
    protect(() => undefined, {
      identity: stage.callee,
      audience: stage.audience,
      listen: { host: '127.0.0.1', port: 0 },
      service,
      policy: { roles },
      record: { folder, checkpoints: `${folder}-c` },
      ...more,
    })
  await assert.rejects(start({}), { code: 'route_invalid' })
  await assert.rejects(start({ routes: ['POST /mcp'], mcp: {} }), { code: 'route_invalid' })
  for (const path of ['mcp', '/..', '/.', '/a/../b', '/a/..'])
    await assert.rejects(start({ mcp: { path } }), { code: 'mcp_path' })
  await assert.rejects(start({ mcp: { effects: { reads: ['x'] } } }), { code: 'mcp_effects' })
  await assert.rejects(start({ mcp: { effects: { read: [''] } } }), { code: 'mcp_effects' })
  for (const perOwner of [0, -1, 1.5, Number.NaN])
    await assert.rejects(start({ mcp: { sessions: { perOwner } } }), { code: 'limit_invalid' })
})
