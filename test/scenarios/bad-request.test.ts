/** Requests that are wrong in one way: each is told its code on the wire and in the record, and none reaches the server. */

import { deepEqual, equal } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { callOf, headOnly, messageOf, Stage, whole } from '../refusals/stage.ts'
import type { Attempt, Caller } from '../refusals/stage.ts'

const rpc = (params: string) => () => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`
const nested = (depth: number) => '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)
const MODERN = {
  jsonrpc: '2.0',
  id: 7,
  method: 'tools/call',
  params: {
    name: 'read_note',
    arguments: {},
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2027-01-01',
      'io.modelcontextprotocol/clientInfo': { name: 'modern', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  },
}

interface Case {
  readonly what: string
  readonly wrong: Partial<Attempt>
  readonly code: string
  /** HTTP status and JSON-RPC error code of the answer. */
  readonly told: readonly [number, number]
}

const body = (
  what: string,
  text: (mark: string) => string,
  code: string,
  told: Case['told'] = [400, -32700],
): Case => ({
  what,
  wrong: { body: text },
  code,
  told,
})

const cases: readonly Case[] = [
  body('text that is not JSON', () => 'GET me a note', 'json_syntax'),
  body('half a JSON text', () => '{"jsonrpc":"2.0","id":1', 'json_syntax'),
  body('a key that is repeated', rpc('{"name":"read_note","name":"drop_notes","arguments":{}}'), 'json_duplicate_key'),
  body(
    'a key that is repeated by an escape',
    rpc('{"name":"read_note","n\\u0061me":"drop_notes"}'),
    'json_duplicate_key',
  ),
  body('__proto__', rpc('{"name":"read_note","arguments":{"__proto__":{"admin":true}}}'), 'json_forbidden_key'),
  body('33 levels', rpc(`{"name":"read_note","arguments":${nested(31)}}`), 'json_too_deep'),
  body('a batch', () => `[${messageOf('tools/list')('')}]`, 'message_batch', [400, -32600]),
  body('JSON that is no JSON-RPC', () => '{"hello":1}', 'message_malformed', [400, -32600]),
  body('an id that is null', () => '{"jsonrpc":"2.0","id":null,"method":"ping"}', 'message_malformed', [400, -32600]),
  body(
    'another JSON-RPC version',
    () => '{"jsonrpc":"1.0","id":1,"method":"ping"}',
    'message_malformed',
    [400, -32600],
  ),
  body('a method that no revision has', messageOf('tools/destroy'), 'method_unknown', [200, -32601]),
  body('an empty body', () => '', 'json_syntax'),
  {
    what: 'a byte order mark',
    wrong: { body: (mark) => `\uFEFF${callOf('read_note')(mark)}` },
    code: 'json_bom',
    told: [400, -32700],
  },
  {
    what: 'a body that is not UTF-8',
    wrong: { bytes: (text) => Buffer.from(text.replace('"mark-', '"\u00ffark-'), 'latin1') },
    code: 'json_not_utf8',
    told: [400, -32700],
  },
  {
    what: 'another content type',
    wrong: { headers: { 'Content-Type': 'text/plain' } },
    code: 'content_type',
    told: [415, -32600],
  },
  { what: 'no Accept', wrong: { headers: { Accept: null } }, code: 'accept_type', told: [406, -32600] },
  {
    what: 'a session that does not exist',
    wrong: { headers: { 'Mcp-Session-Id': 'f'.repeat(32) } },
    code: 'session_unknown',
    told: [404, -32001],
  },
  { what: 'no session', wrong: { headers: { 'Mcp-Session-Id': null } }, code: 'session_missing', told: [400, -32600] },
  { what: 'a server that is not there', wrong: { target: '/mcp/nosuch' }, code: 'path_unknown', told: [404, -32600] },
  {
    what: 'a path of another spelling',
    wrong: { target: '/mcp/%66iles' },
    code: 'path_ambiguous',
    told: [400, -32600],
  },
  { what: 'no token', wrong: { token: null }, code: 'token_missing', told: [401, -31401] },
  {
    what: 'a join string for a token',
    wrong: { token: 'doorward-join-1.e30' },
    code: 'token_malformed',
    told: [401, -31401],
  },
]

describe('a bad request', () => {
  let stage: Stage
  let caller: Caller
  before(async () => {
    stage = await Stage.open()
    caller = await stage.caller('agent/a')
  })
  after(() => stage.close())

  for (const { what, wrong, code, told } of cases) {
    test(`${what} is ${code}`, async () => {
      const answer = await stage.contrast({ caller }, { status: told[0], ...wrong }, code)
      const { error } = JSON.parse(answer?.body ?? '') as { error: { code: number; data?: Record<string, unknown> } }
      equal(error.code, told[1])
      deepEqual(
        [error.data?.['code'], error.data?.['decision'] ?? undefined],
        [code, answer?.headers['doorward-decision']],
      )
    })
  }

  test('32 levels pass', async () => {
    await stage.passes({
      caller,
      body: (mark) => rpc(`{"name":"read_note","arguments":{"mark":"${mark}","x":${nested(29)}}}`)(),
    })
  })

  test('the session of another principal is unknown to everybody else', async () => {
    const other = await stage.caller('agent/b')
    await stage.contrast({ caller }, { headers: { 'Mcp-Session-Id': other.session } }, 'session_unknown')
    await stage.passes({ caller: other })
  })

  test('a request of a version that nobody knows is refused with the versions that are spoken', async () => {
    const headers = {
      'Mcp-Session-Id': null,
      'MCP-Protocol-Version': '2027-01-01',
      'Mcp-Method': 'tools/call',
      'Mcp-Name': 'read_note',
    }
    const answer = await stage.contrast({ caller }, { headers, body: () => JSON.stringify(MODERN) }, 'protocol_version')
    const { id, error } = JSON.parse(answer?.body ?? '') as {
      id: unknown
      error: { code: number; data: Record<string, unknown> }
    }
    deepEqual([answer?.status, id, error.code, error.data['requested']], [400, 7, -32022, '2027-01-01'])
    deepEqual(error.data['supported'], ['2026-07-28'])
  })

  test('a body over 1 MiB is refused by its declared length, before it is sent', async () => {
    const wrong = {
      bytes: (text: string) =>
        text.replace(/Content-Length: \d+/, 'Content-Length: 1048577').replace(/\r\n\r\n.*$/s, '\r\n\r\n'),
    }
    await stage.contrast({ caller }, wrong, 'body_too_large')
  })

  test('a body over 1 MiB without a declared length is refused where it passes the limit', async () => {
    const chunk = `${(65_536).toString(16)}\r\n${' '.repeat(65_536)}\r\n`
    const wrong = {
      until: headOnly,
      bytes: (text: string) =>
        text.replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked').replace(/\r\n\r\n.*$/s, '\r\n\r\n') +
        chunk.repeat(17),
    }
    await stage.contrast({ caller }, wrong, 'body_too_large')
  })

  test('headers over the limits are refused', async () => {
    await stage.contrast({ caller }, { until: headOnly, headers: { 'X-Filler': 'x'.repeat(20_000) } }, 'header_limit')
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`X-Filler-${i}`, 'x']))
    await stage.contrast({ caller }, { until: headOnly, headers: many }, 'header_limit')
  })

  test('afterwards a call passes on a fresh connection, nothing was restarted, and the record verifies', async () => {
    await stage.passes({ caller, until: whole })
    await stage.settle()
    equal(stage.system.events.filter(({ event }) => event === 'died').length, 0)
    const { code, stdout } = await stage.system.run(['audit', 'verify', '--json'])
    equal(code, 0, stdout)
  })
})
