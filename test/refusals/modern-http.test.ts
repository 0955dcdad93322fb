/**
 * Requests of the modern era that must not reach a server (reference mcp.md §1 and §2). The right one does; each differs from
 * it in one thing: it is refused with the status and the JSON-RPC error that the era demands, the record has the reason, and the
 * server has heard nothing.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { MODERN_VERSIONS } from '@doorward/core'
import type { DenialCode } from '@doorward/enforcement'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { Rpc } from '../fixtures/gateway-fixture.ts'
import { modern, modernServer, modernVersion, result } from '../fixtures/modern-server.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid

before(async () => {
  server = await modernServer((reached, response) => result(reached, response, { resultType: 'complete', content: [] }))
  gateway = await GatewayFixture.open({ servers: { files: { url: server.url } }, roles: { all: ['*'] } })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  equal((await send(right())).status, 200)
})
after(async () => {
  await gateway.close()
  await server.close()
})

const id = 41
const right = () => modern('tools/call', { id, params: { name: 'read_file', arguments: {} } })
const send = (rpc: Rpc) => gateway.rpc(agent, 'files', rpc)

interface Refused {
  readonly code: DenialCode
  readonly status: number
  readonly rpc: number
  /** What the error answers; the id of the request by default. */
  readonly id?: number | null
}

/** Refused as it must be, on the record, and unheard of by the server. */
async function refused(what: string, answer: RawAnswer, expected: Refused): Promise<void> {
  equal(answer.headers['doorward-code'], expected.code, `${what}: ${answer.text}`)
  equal(answer.status, expected.status, what)
  const [message] = messagesOf(answer)
  deepEqual([message?.error?.code, message?.id], [expected.rpc, expected.id === undefined ? id : expected.id], what)
  const entry = gateway.record.entries[Number(answer.headers['doorward-decision']?.split('#')[1])]
  deepEqual([entry?.body['decision'], entry?.body['code']], ['deny', expected.code], what)
}

async function unheard(what: string, rpc: Rpc, expected: Refused): Promise<void> {
  const reached = server.reached.length
  await refused(what, await send(rpc), expected)
  equal(server.reached.length, reached, what)
}

/** The right request with other headers, or without some. */
function withHeaders(changed: Readonly<Record<string, string | undefined>>, rpc = right()): Rpc {
  const headers = Object.entries({ ...rpc.headers, ...changed }).filter(
    (one): one is [string, string] => one[1] !== undefined,
  )
  return { ...rpc, headers: Object.fromEntries(headers) }
}

const mismatch = { code: 'message_header_mismatch', status: 400, rpc: -32020 } as const
const version = { code: 'protocol_version', status: 400, rpc: -32022 } as const
const envelope = { code: 'message_envelope', status: 400, rpc: -32602 } as const
const unlisted = { code: 'method_unknown', status: 404, rpc: -32601 } as const

describe('MC-9, MC-10: headers repeat the body or the request is refused', () => {
  const wrong: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
    'no version': { 'MCP-Protocol-Version': undefined },
    'another version': { 'MCP-Protocol-Version': '2026-07-29' },
    'a legacy version': { 'MCP-Protocol-Version': '2025-11-25' },
    'no method': { 'Mcp-Method': undefined },
    'another method': { 'Mcp-Method': 'tools/list' },
    'the method in capitals': { 'Mcp-Method': 'TOOLS/CALL' },
    'no name': { 'Mcp-Name': undefined },
    'another name': { 'Mcp-Name': 'read_other' },
    'the name in capitals': { 'Mcp-Name': 'READ_FILE' },
    'another name in base64': { 'Mcp-Name': `=?base64?${btoa('read_other')}?=` },
    'base64 with bad padding': { 'Mcp-Name': '=?base64?cmVhZF9maWxl=?=' },
    'base64 with other letters': { 'Mcp-Name': '=?base64?cmVh!!!9maWxl?=' },
    'base64 of no UTF-8': { 'Mcp-Name': '=?base64?//79?=' },
    'a parameter in bad base64': { 'Mcp-Param-Region': '=?base64?SGVsbG8?=' },
  }
  for (const [what, headers] of Object.entries(wrong)) test(what, () => unheard(what, withHeaders(headers), mismatch))

  test('for each kind of name there is', async () => {
    for (const [method, params] of [
      ['prompts/get', { name: 'greet' }],
      ['resources/read', { uri: 'file:///a' }],
      ['tasks/get', { taskId: 't' }],
      ['tasks/update', { taskId: 't' }],
      ['tasks/cancel', { taskId: 't' }],
    ] as const)
      for (const name of [undefined, 'another'])
        await unheard(method, withHeaders({ 'Mcp-Name': name }, modern(method, { id, params })), mismatch)
  })

  test('outer whitespace and base64 of the very same change nothing', async () => {
    for (const headers of [
      { 'Mcp-Name': '  read_file\t', 'Mcp-Method': ' tools/call ' },
      { 'Mcp-Name': `=?base64?${btoa('read_file')}?=` },
      { 'Mcp-Param-Region': '=?base64?SGVsbG8=?=' },
      { 'Mcp-Param-Region': '=?base64?SGVsbG8' },
    ])
      equal((await send(withHeaders(headers))).headers['doorward-code'], 'allowed', JSON.stringify(headers))
  })

  test('none of them may be there twice', async () => {
    const text = await gateway.request(agent, 'files', withHeaders({ 'Mcp-Param-Region': 'eu' }))
    for (const name of ['MCP-Protocol-Version', 'Mcp-Method', 'Mcp-Name', 'Mcp-Param-Region', 'Mcp-Session-Id']) {
      const reached = server.reached.length
      const value = new RegExp(`^${name}: (.*)\\r$`, 'm').exec(text)?.[1] ?? 'x'
      const twice = text.replace('Host:', `${name}: ${value}\r\n${name.toLowerCase()}: ${value}\r\nHost:`)
      const answer = await gateway.raw(agent, twice)
      deepEqual([answer.status, answer.headers['doorward-code']], [400, 'header_duplicate'], name)
      equal(server.reached.length, reached)
    }
  })
})

describe('MC-3, MC-5, MC-7: the metadata of the body decides', () => {
  const key = 'io.modelcontextprotocol'
  const body = (_meta: unknown, method = 'tools/call') =>
    JSON.stringify({ jsonrpc: '2.0', id, method, params: { name: 'read_file', arguments: {}, _meta } })
  const full = { [`${key}/protocolVersion`]: modernVersion, [`${key}/clientCapabilities`]: {} }
  const malformed: readonly unknown[] = [
    { [`${key}/clientCapabilities`]: {} },
    { [`${key}/protocolVersion`]: modernVersion },
    { ...full, [`${key}/protocolVersion`]: 7 },
    { ...full, [`${key}/clientCapabilities`]: [] },
    { ...full, [`${key}/clientCapabilities`]: { sampling: true } },
    { ...full, [`${key}/clientInfo`]: { name: 'x' } },
    { ...full, [`${key}/logLevel`]: 'loud' },
    undefined,
  ]
  test('a request without them, or with malformed ones, is not accepted', async () => {
    for (const _meta of malformed) await unheard(JSON.stringify(_meta), { ...right(), body: body(_meta) }, envelope)
  })

  test('a version that is not known is answered with those that server and gateway know', async () => {
    for (const named of ['2027-01-01', 'v999.0.0']) {
      const reached = server.reached.length
      const rpc = modern('tools/call', { id, version: named, params: { name: 'read_file' } })
      const answer = await send(rpc)
      await refused(named, answer, version)
      deepEqual(messagesOf(answer)[0]?.error?.data, { supported: MODERN_VERSIONS, requested: named })
      equal(server.reached.length, reached)
    }
    const legacy = { ...full, [`${key}/protocolVersion`]: '2025-11-25' }
    await unheard(
      'legacy',
      withHeaders({ 'MCP-Protocol-Version': '2025-11-25' }, { ...right(), body: body(legacy) }),
      version,
    )
  })

  test('methods that the revision does not have are not found, with the id of the request', async () => {
    for (const method of [
      'initialize',
      'ping',
      'logging/setLevel',
      'resources/subscribe',
      'tasks/list',
      'tasks/result',
      'constructor',
      'tools/callx',
    ])
      await unheard(method, modern(method, { id, params: { uri: 'file:///a', taskId: 't' } }), unlisted)
  })

  test('keys that could be read as another field are refused', async () => {
    const text = right().body
    for (const [from, to] of [
      ['"_meta"', '"_META"'],
      ['"name"', '"Name":"x","name"'],
      [`"${key}/protocolVersion"`, `"${key}/ProtocolVersion":"x","${key}/protocolVersion"`],
    ] as const)
      await unheard(
        to,
        { ...right(), body: text.replace(from, to) },
        { code: 'message_malformed', status: 400, rpc: -32600 },
      )
    const twice = text.replace('"id":41', '"id":41,"id":42')
    await unheard(
      'id twice',
      { ...right(), body: twice },
      { code: 'json_duplicate_key', status: 400, rpc: -32700, id: null },
    )
  })
})

describe('MC-1, MC-4, MC-6: one request by POST, and nothing else', () => {
  test('a batch is refused, whatever is in it', async () => {
    for (const body of [`[${right().body}]`, '[]'])
      await unheard(body, { ...right(), body }, { code: 'message_batch', status: 400, rpc: -32600, id: null })
  })

  test('a notification and a response of a client are refused', async () => {
    const { headers } = right()
    const cancelled = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":41}}'
    const reached = server.reached.length
    for (const [body, code] of [
      [cancelled, 'notification_unknown'],
      ['{"jsonrpc":"2.0","id":7,"result":{}}', 'protocol_version'],
      ['{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"x"}}', 'protocol_version'],
    ] as const) {
      const answer = await send({ body, headers: headers ?? {} })
      deepEqual([answer.status, answer.headers['doorward-code']], [400, code], body)
    }
    equal(server.reached.length, reached)
  })

  test('other HTTP methods are answered with 405 and the one that there is', async () => {
    for (const method of ['GET', 'DELETE']) {
      const answer = await send({ method, headers: { 'MCP-Protocol-Version': modernVersion } })
      deepEqual([answer.status, answer.headers['doorward-code'], answer.headers['allow']], [405, 'http_method', 'POST'])
    }
  })

  test('a server without sessions is asked by POST alone: whoever does not say the era gets 405, too', async () => {
    const own = await modernServer((reached, response) => {
      if (reached.method === 'POST') result(reached, response, { resultType: 'complete' })
      else response.writeHead(200).end()
    })
    const alone = await GatewayFixture.open({ servers: { alone: { url: own.url } }, roles: { all: ['*'] } })
    try {
      const caller = await alone.trust.issue('agent/planner', { roles: ['all'] })
      const asks = async (method: string, headers: Readonly<Record<string, string>> = {}) => {
        const answer = await alone.rpc(caller, 'alone', { method, headers })
        return [answer.status, answer.headers['doorward-code'], answer.headers['allow']]
      }
      const stale = { 'Mcp-Session-Id': 'of-another-time' }
      // Before the server has been asked what it speaks it may have sessions.
      deepEqual(await asks('GET'), [400, 'session_missing', undefined])
      equal((await alone.rpc(caller, 'alone', right())).status, 200)
      const reached = own.reached.length
      for (const method of ['GET', 'DELETE']) deepEqual(await asks(method), [405, 'http_method', 'POST'])
      // It may be an id of a session from before a restart: its client begins again.
      deepEqual(await asks('GET', stale), [404, 'session_unknown', undefined])
      equal(own.reached.length, reached)
      own.refusesSessions = true
      const opening = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}'
      equal((await alone.rpc(caller, 'alone', { body: opening })).status, 400)
      for (const method of ['GET', 'DELETE']) deepEqual(await asks(method, stale), [405, 'http_method', 'POST'])
      own.refusesSessions = false
      const session = await alone.initialize(caller, 'alone')
      deepEqual(await asks('GET'), [400, 'session_missing', undefined])
      own.refusesSessions = true
      equal((await alone.rpc(caller, 'alone', { body: opening })).status, 400)
      // Whatever others are told: a session that there is has its verbs.
      equal((await alone.rpc(caller, 'alone', { method: 'DELETE', session })).status, 200)
    } finally {
      await alone.close()
      await own.close()
    }
  })

  test('too many names to listen for are not read', async () => {
    const resourceSubscriptions = Array.from({ length: 65 }, (_, i) => `file:///${i}`)
    const rpc = modern('subscriptions/listen', { id, params: { notifications: { resourceSubscriptions } } })
    await unheard('listen', rpc, { code: 'subject_missing', status: 200, rpc: -32602 })
  })
})

test('MC-8: nobody is denied without the id of his request, and a denied call is a result that says what it is', async () => {
  const stranger = await gateway.trust.issue('agent/stranger')
  const reached = server.reached.length
  const denied = await gateway.rpc(stranger, 'files', right())
  const [message] = messagesOf(denied)
  deepEqual(
    [denied.status, message?.id, message?.result?.['resultType'], message?.result?.['isError']],
    [200, id, 'complete', true],
  )
  const other = await gateway.rpc(stranger, 'files', modern('prompts/get', { id, params: { name: 'greet' } }))
  deepEqual([other.status, messagesOf(other)[0]?.error?.code, messagesOf(other)[0]?.id], [200, -31403, id])
  equal(server.reached.length, reached)
  ok(gateway.sessions.size === 0)
})
