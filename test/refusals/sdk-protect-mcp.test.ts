/** An MCP server in a program that protects itself: judged by the body, lists by the decision that calls meet, and tools know who calls. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { protect } from '@doorward/sdk'
import type { ConnectedIdentity, ProtectedListener } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { openModern, openV1, openV2 } from '../fixtures/official-peers.ts'
import type { Called } from '../fixtures/official-peers.ts'
import { effects, mcpPrograms, roles, service, toolNames } from '../fixtures/protected-mcp.ts'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
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

async function post(body: unknown, more: Record<string, string> = {}, path = '/mcp'): Promise<RawAnswer> {
  const client = await RawClient.open(stage.server.address, caller)
  try {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return await client.request('POST', path, {
      headers: { authorization: `Bearer ${token}`, ...headers, ...more },
      body: text,
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
  const of2025 = { 'mcp-protocol-version': '2025-11-25' }
  await refused('method_unknown', () => post(rpc('tasks/get', { taskId: 'one' }), of2025))
  const asTask = rpc('tools/call', { name: 'read_one', arguments: {}, task: {} })
  await refused('request_invalid', () => post(asTask, of2025))
})

test('an MCP server that opens sessions is told so, and its clients get none', async () => {
  program = programs.sessions
  const clientInfo = { name: 'raw', version: '1' }
  const initialize = rpc('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo })
  const answer = await post(initialize)
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [500, 'internal'])
  assert.equal(answer.headers['mcp-session-id'], undefined)
  program = programs.v1
  assert.equal((await post(initialize)).status, 200)
})

test('a list that cannot be read without doubt is no answer', async () => {
  const list = '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"drop_all","Name":"read_one"}]}}'
  for (const [type, body] of [
    ['application/json', list],
    ['application/json', 'no JSON'],
    ['text/event-stream', `data: ${list}\n\n`],
    ['application/json', list.replace('"id":7', '"id":8')],
  ] as const) {
    program = (_request, response) => void response.writeHead(200, { 'content-type': type }).end(body)
    const answer = await post(rpc('tools/list'))
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [500, 'internal'], body)
    assert.ok(!answer.text.includes('drop_all'))
  }
  const good = '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"drop_all"},{"name":"read_one"}]}}'
  program = (_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.write(`: hello\n\nevent: message\ndata: ${good.slice(0, 30)}`)
    response.end(`${good.slice(30)}\n\n`)
  }
  const answer = await post(rpc('tools/list'))
  assert.deepEqual((answer.json()['result'] as { tools: unknown }).tools, [{ name: 'read_one' }])
})

test('a list that is too large is refused while it is written, and its caller hears so', async () => {
  const part = Buffer.alloc(1_500_000, ' ')
  const errors: Error[] = []
  program = (_request, response) => {
    // A write after the end is one, upon which the listener ends the connection.
    response.on('error', (error) => errors.push(error))
    response.setHeader('content-type', 'application/json')
    for (let i = 0; i < 4; i++) response.write(part)
    response.end('{}')
  }
  const answer = await post(rpc('tools/list'))
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [500, 'internal'])
  assert.ok('error' in answer.json(), answer.text)
  assert.deepEqual(errors, [])
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
})
