/** Requests that must not reach a server. The right one does; each differs from it in one thing, and the tap shows nothing of it. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DISCOVER_REQUEST, LEGACY_VERSIONS } from '@doorward/core'
import { denialTable } from '@doorward/enforcement'
import type { DenialCode } from '@doorward/enforcement'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { Rpc } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { now } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
let reader: TestSvid
let session: string
let readerSession: string

before(async () => {
  server = await scriptedServer(({ body }, response) => {
    const { id } = JSON.parse(body) as { id: number }
    json(response, `{"jsonrpc":"2.0","id":${id},"result":{"content":[]}}`)
  })
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url, effects: { read: ['read_*'] } }, other: { url: server.url } },
    roles: { all: ['*'], reader: ['read:files/*'] },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
  session = await gateway.initialize(agent, 'files')
  readerSession = await gateway.initialize(reader, 'files')
})

after(async () => {
  await gateway.close()
  await server.close()
})

let nextId = 100

function call(tool = 'read_file', args: object = {}): string {
  return JSON.stringify({ jsonrpc: '2.0', id: nextId++, method: 'tools/call', params: { name: tool, arguments: args } })
}

/** Sends a request that must be refused: nothing arrives at the server, and client and record name the same decision. */
async function refused(answer: Promise<RawAnswer>, code: DenialCode): Promise<RawAnswer> {
  const reached = server.reached.length
  const got = await answer
  equal(got.headers['doorward-code'], code, got.text)
  equal(server.reached.length, reached)
  equal(got.headers['x-frame-options'], 'DENY')
  equal(got.headers['x-content-type-options'], 'nosniff')
  const decision = got.headers['doorward-decision']
  if (decision !== undefined) {
    const entry = gateway.record.entries[Number(decision.split('#')[1])]
    equal(entry?.kind, 'decision')
    equal(entry?.body['code'], code)
  } else {
    const counts = await gateway.entries('refusals')
    ok(counts.some(({ body }) => body['reason'] === code))
  }
  return got
}

const request = (rpc: Rpc, svid = agent, name = 'files') => gateway.rpc(svid, name, { session, body: call(), ...rpc })

test('the right request reaches the server', async () => {
  const reached = server.reached.length
  const answer = await request({})
  equal(answer.status, 200)
  equal(answer.headers['doorward-code'], 'allowed')
  equal(server.reached.length, reached + 1)
})

test('a message goes on as what it was read as, whatever its caller calls it', async () => {
  const answer = await request({ headers: { 'Content-Type': 'Application/JSON; charset="UTF-8"' } })
  equal(answer.headers['doorward-code'], 'allowed', answer.text)
  equal(server.reached.at(-1)?.headers['content-type'], 'application/json')
})

const wrongHeaders: readonly (readonly [code: DenialCode, headers: Readonly<Record<string, string>>])[] = [
  ['header_name', { X_Forwarded_For: '1' }],
  ['header_name', { __proto__x: '1' }],
  ['header_name', { constructor: '1' }],
  ['host_unknown', { Host: 'evil.example' }],
  ['host_unknown', { Host: 'localhost.evil.example' }],
  ['origin_unknown', { Origin: 'https://evil.example' }],
  ['origin_unknown', { Origin: 'null' }],
  ['content_encoding', { 'Content-Encoding': 'gzip' }],
  ['expectation', { Expect: 'x-nothing' }],
  ['request_malformed', { Upgrade: 'websocket' }],
  ['request_malformed', { Connection: 'authorization' }],
  ['content_type', { 'Content-Type': 'text/plain' }],
  ['content_type', { 'Content-Type': 'application/json-patch+json' }],
  ['content_type', { 'Content-Type': 'application/json; charset=utf-7' }],
  ['accept_type', { Accept: 'application/json' }],
  ['accept_type', { Accept: 'text/html' }],
  ['session_unknown', { 'Mcp-Session-Id': 'AAAAAAAAAAAAAAAAAAAAAA' }],
  ['message_header_mismatch', { 'MCP-Protocol-Version': '2025-03-26' }],
  ['message_envelope', { 'MCP-Protocol-Version': '2026-07-28' }],
]

test('each wrong header is refused with its own code and status', async () => {
  for (const [code, headers] of wrongHeaders) {
    const answer = await refused(request({ headers }), code)
    equal(answer.status, denialTable[code].http, code)
  }
})

test('a header that must be single is refused when it is repeated, whichever it is', async () => {
  const text = await gateway.request(agent, 'files', { session, body: call() })
  for (const name of [
    'Host',
    'Authorization',
    'Content-Type',
    'Content-Length',
    'Mcp-Session-Id',
    'Mcp-Name',
    'DPoP',
  ]) {
    const value = new RegExp(`^${name}: (.*)\\r$`, 'm').exec(text)?.[1] ?? 'x'
    const twice = text.replace('Host:', `${name}: ${value}\r\n${name.toLowerCase()}: ${value}\r\nHost:`)
    const answer = await gateway.raw(agent, twice)
    // The parser itself refuses two lengths.
    if (name === 'Content-Length') equal(answer.status, 400)
    else equal(answer.headers['doorward-code'], 'header_duplicate', name)
  }
})

test('ambiguous paths are refused, unknown ones are unknown', async () => {
  const text = await gateway.request(agent, 'files', { session, body: call() })
  const at = (path: string) => gateway.raw(agent, text.replace('/mcp/files', path))
  for (const path of [
    '//mcp/files',
    '/mcp//files',
    '/mcp/./files',
    '/x/../mcp/files',
    '/mcp/%66iles',
    '/mcp%2Ffiles',
    '/mcp/files;x',
    '/mcp/files.',
    '/mcp\\files',
    `https://${gateway.host}/mcp/files`,
  ]) {
    await refused(at(path), 'path_ambiguous')
  }
  for (const path of [
    '/',
    '/mcp',
    '/mcp/',
    '/mcp/files/',
    '/mcp/Files',
    '/mcp/nothing',
    '/v1/status',
    '/livez',
    '/mcp/files/x',
    '/mcp/__proto__',
  ]) {
    equal((await refused(at(path), 'path_unknown')).status, 404)
  }
})

test('other methods are refused', async () => {
  for (const method of ['PUT', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND']) {
    // An answer to HEAD announces a body and has none.
    const answer = await refused(
      gateway.rpc(agent, 'files', { session, method }, (text) => text.includes('\r\n\r\n')),
      'http_method',
    )
    equal(answer.status, 405)
    equal(answer.headers['allow'], 'POST, GET, DELETE')
  }
})

test('both lengths, other transfer codings and chunk extensions smuggle nothing', async () => {
  const text = await gateway.request(agent, 'files', { session, body: call() })
  const canary = await gateway.request(agent, 'files', { session, body: call('canary') })
  for (const line of [
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding: xchunked',
    'Transfer_Encoding: chunked',
  ]) {
    const socket = await dial(gateway.connection(agent))
    const answer = await talk(socket, text.replace('Host:', `${line}\r\nHost:`) + canary, () => false)
    socket.destroy()
    equal(parseAnswer(answer).status, 400, line)
    equal(answer.split('HTTP/1.1 ').length, 2, line)
  }
  equal(server.having('canary').length, 0)
})

const wrongBodies: readonly (readonly [code: DenialCode, status: number, rpc: number, body: string | Buffer])[] = [
  ['json_syntax', 400, -32700, '{'],
  ['json_syntax', 400, -32700, '{"jsonrpc":"2.0","id":1,"method":"ping"} x'],
  ['json_syntax', 400, -32700, ''],
  ['json_bom', 400, -32700, '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}'],
  ['json_duplicate_key', 400, -32700, '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}'],
  ['json_duplicate_key', 400, -32700, '{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/list"}'],
  ['json_forbidden_key', 400, -32700, '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"__proto__":{}}}'],
  [
    'json_too_deep',
    400,
    -32700,
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(60)}${']'.repeat(60)}}}`,
  ],
  ['message_batch', 400, -32600, '[{"jsonrpc":"2.0","id":1,"method":"ping"}]'],
  ['message_malformed', 400, -32600, '{"id":1,"method":"ping"}'],
  [
    'message_malformed',
    400,
    -32600,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","Name":"write_file"}}',
  ],
  ['message_malformed', 400, -32600, '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["read_file"]}'],
  ['subject_missing', 200, -32602, '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}'],
  ['subject_missing', 200, -32602, '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}'],
  ['method_unknown', 200, -32601, '{"jsonrpc":"2.0","id":1,"method":"constructor"}'],
  ['method_unknown', 200, -32601, '{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"read_file"}}'],
  ['method_unknown', 200, -32601, '{"jsonrpc":"2.0","id":1,"method":"server/discover"}'],
  ['method_unknown', 200, -32601, '{"jsonrpc":"2.0","id":1,"method":"$/cancelRequest"}'],
  ['method_unknown', 200, -32601, '{"jsonrpc":"2.0","id":1,"method":""}'],
  ['notification_unknown', 400, -32600, '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'],
  ['response_unexpected', 400, -32600, '{"jsonrpc":"2.0","id":1,"result":{}}'],
  [
    'request_invalid',
    400,
    -32600,
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}',
  ],
]

test('each wrong body is refused with its own code', async () => {
  for (const [code, status, rpc, body] of wrongBodies) {
    const answer = await refused(request({ body: body.toString() }), code)
    equal(answer.status, status, body.toString())
    equal(messagesOf(answer)[0]?.error?.code, rpc, body.toString())
  }
})

test('a body that is not UTF-8 is refused', async () => {
  const body = Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":1,"method":"'), Buffer.of(0xff), Buffer.from('"}')])
  const head = await gateway.request(agent, 'files', { session, headers: { 'Content-Length': String(body.length) } })
  await refused(gateway.raw(agent, Buffer.concat([Buffer.from(head), body])), 'json_not_utf8')
})

test('a message of an era that the server does not speak is refused with the versions that it does', async () => {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 5, method: 'tools/list', params: { _meta } })
  const headers = { 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/list' }
  for (const first of [true, false]) {
    const reached = server.reached.length
    const answer = await gateway.rpc(agent, 'files', { body, headers })
    // The gateway has asked in words of its own, once; nothing of the caller's has arrived.
    deepEqual(
      server.reached.slice(reached).map((one) => one.body),
      first ? [new TextDecoder().decode(DISCOVER_REQUEST)] : [],
    )
    equal(answer.headers['doorward-code'], 'protocol_version')
    equal(answer.status, 400)
    const [message] = messagesOf(answer)
    equal(message?.error?.code, -32022)
    deepEqual(message?.error?.data, { supported: LEGACY_VERSIONS, requested: '2026-07-28' })
    equal(message?.id, 5)
    const told = await gateway.entries(first ? 'outcome' : 'decision')
    equal(told.at(-1)?.body['code'], 'protocol_version')
  }
})

test('a body over the limit is refused before it is read, declared or not', async () => {
  const declared = await gateway.request(agent, 'files', { session, headers: { 'Content-Length': '2000000' } })
  equal((await refused(gateway.raw(agent, declared), 'body_too_large')).status, 413)
  const chunked = (await gateway.request(agent, 'files', { session })).replace(
    'Content-Length: 0',
    'Transfer-Encoding: chunked',
  )
  const big = `100001\r\n${'x'.repeat(0x10_0001)}\r\n0\r\n\r\n`
  equal((await refused(gateway.raw(agent, chunked + big), 'body_too_large')).status, 413)
})

test('a client that is still sending learns why it is refused', async () => {
  const body = 'x'.repeat(3_000_000)
  for (let i = 0; i < 3; i++) equal((await request({ body })).status, 413)
})

test('a body that ends early is refused', async () => {
  const socket = await dial(gateway.connection(agent))
  socket.end(await gateway.request(agent, 'files', { session, headers: { 'Content-Length': '500' }, body: call() }))
  const found = async () => (await gateway.entries()).find(({ body }) => body['code'] === 'body_aborted')
  while ((await found()) === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
  socket.destroy()
})

test('a token is required on every request of a connection', async () => {
  const socket = await dial(gateway.connection(agent))
  const good = await gateway.request(agent, 'files', { session, body: call() })
  equal(parseAnswer(await talk(socket, good)).status, 200)
  const without = (await gateway.request(agent, 'files', { session, body: call() })).replace(
    /Authorization: .*\r\n/,
    '',
  )
  const answer = parseAnswer(await talk(socket, without))
  equal(answer.headers['doorward-code'], 'token_missing')
  equal(answer.status, 401)
  equal(answer.headers['www-authenticate'], 'Bearer')
  socket.destroy()
})

test('each wrong token is refused with a challenge that names it invalid', async () => {
  const { trust } = gateway
  const audience = 'https://gateway.test.example/mcp/files'
  const wrong: readonly (readonly [DenialCode, string])[] = [
    ['token_audience', await trust.token(agent, 'https://gateway.test.example/mcp/other')],
    ['token_issuer', await trust.token(agent, audience, { iss: 'https://evil.example' })],
    [
      'token_expired',
      await trust.token(agent, audience, {
        iat: (now() - 600) as never,
        nbf: (now() - 600) as never,
        exp: (now() - 300) as never,
      }),
    ],
    ['token_binding', await trust.token(reader, audience)],
    ['token_malformed', 'not-a-token'],
    ['token_malformed', `${await trust.token(agent, audience)}=`],
    ['token_too_large', `${'a'.repeat(5000)}.b.c`],
  ]
  for (const [code, token] of wrong) {
    const answer = await refused(request({ token }), code)
    equal(answer.status, 401)
    equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"')
  }
})

test('a token in the query counts for nothing', async () => {
  const text = await gateway.request(agent, 'files', { session, body: call() })
  const token = /Bearer (\S+)/.exec(text)?.[1] ?? ''
  const moved = text.replace(/Authorization: .*\r\n/, '').replace('/mcp/files', `/mcp/files?access_token=${token}`)
  await refused(gateway.raw(agent, moved), 'token_missing')
})

test('a refused tool call is a result that models read: permission and decision, the same bytes for every name', async () => {
  const shape = async (tool: string) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: tool, arguments: {} } })
    const answer = await refused(request({ session: readerSession, body }, reader), 'policy_denied')
    equal(answer.status, 200)
    const result = messagesOf(answer)[0]?.result as {
      isError: boolean
      content: { text: string }[]
      _meta: Record<string, string>
    }
    equal(result.isError, true)
    match(
      result.content[0]?.text ?? '',
      new RegExp(`tools/call:files/${tool} .*\\(decision test\\.example/gateway/main#\\d+\\)`),
    )
    equal(result._meta['doorward/code'], 'policy_denied')
    equal(result._meta['doorward/decision'], answer.headers['doorward-decision'])
    return answer.body.replaceAll(tool, 'T').replaceAll(/#\d+/g, '#N')
  }
  equal(await shape('write_file'), await shape('no_such_tool'))
})

test('another refused request is an error with code, decision and permission', async () => {
  const body = '{"jsonrpc":"2.0","id":9,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}'
  const otherSession = await gateway.initialize(agent, 'other')
  equal((await gateway.rpc(agent, 'other', { session: otherSession, body })).status, 200)
  const answer = await refused(
    gateway.rpc(reader, 'other', { body: body.replace('resources/read', 'initialize') }),
    'subject_missing',
  )
  equal(answer.status, 200)
  const init =
    '{"jsonrpc":"2.0","id":9,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}'
  const denied = await refused(gateway.rpc(reader, 'other', { body: init }), 'policy_denied')
  const [message] = messagesOf(denied)
  equal(denied.status, 200)
  equal(message?.id, 9)
  equal(message?.error?.code, -31403)
  deepEqual(message?.error?.data, {
    code: 'policy_denied',
    decision: denied.headers['doorward-decision'],
    permission: 'initialize:other/*',
  })
  equal(denied.headers['mcp-session-id'], undefined)
})

test('forwarded requests carry nothing of the caller but what the protocol needs', async () => {
  await request({
    headers: {
      'X-Forwarded-For': '1.2.3.4',
      Cookie: 'a=b',
      'X-Client-Cert': 'x',
      'Mcp-Protocol-Version': '2025-11-25',
    },
  })
  const { headers } = server.reached.at(-1)!
  deepEqual(Object.keys(headers).toSorted(), [
    'accept',
    'connection',
    'content-length',
    'content-type',
    'host',
    'mcp-protocol-version',
    'mcp-session-id',
    'user-agent',
  ])
  equal(headers['mcp-session-id'], 'upstream-session')
  equal(headers['host'], new URL(server.url).host)
})

test('every request that reached the server has one decision, and every decision one outcome', async () => {
  const own = server.having('server/discover')
  const acts = await gateway.entries('lifecycle')
  equal(acts.filter(({ body }) => body['event'] === 'server.discover').length, own.length)
  const mine = server.reached.length - own.length
  const outcomes = await gateway.entries('outcome')
  // Before it was known what its server speaks it was allowed, and came no further.
  const unspoken = new Set(
    outcomes.filter(({ body }) => body['code'] === 'protocol_version').map(({ body }) => body['of']),
  )
  equal(unspoken.size, 1)
  const decisions = await gateway.entries()
  equal(decisions.filter(({ body }) => body['decision'] === 'allow').length, mine + unspoken.size)
  equal(new Set(outcomes.map(({ body }) => body['of'])).size, mine + unspoken.size)
})
