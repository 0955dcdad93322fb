/** Sessions and what flows on them: ids good for their owner alone, lists filtered wherever they appear, answers only to what was asked. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { RpcMessage } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { event, json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { Script, ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let script: Script = (_reached, response) => response.writeHead(500).end()
let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
let reader: TestSvid

before(async () => {
  server = await scriptedServer((...call) => script(...call))
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url, effects: { read: ['read_*'] } }, twin: { url: server.url } },
    roles: { all: ['*'], reader: ['read:files/read_*', 'read:files/file:///public/*'] },
    sessions: { perOwner: 4 },
    // Servers fail here more often than a circuit would let them.
    circuit: { inARow: 1000, least: 1000 },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
})

after(async () => {
  await gateway.close()
  await server.close()
})

const tools =
  '{"tools":[{"name":"read_file","inputSchema":{},"n":9007199254740993},{"name":"write_file","inputSchema":{}},{"name":"read_dir" , "x":1e400}],"nextCursor":"c"}'
const list = (id: number | string) => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"tools/list"}`
const answerTo = (id: number | string, result: string) =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`
const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
const names = (messages: readonly RpcMessage[], id: number | string = 1) =>
  (messages.find((message) => message.id === id)?.result?.['tools'] as { name: string }[] | undefined)?.map(
    ({ name }) => name,
  )

test('an id is good for its owner and server alone; to everybody else it does not exist', async () => {
  script = ({ body }, response) => json(response, answerTo((JSON.parse(body) as { id: number }).id, '{}'))
  const session = await gateway.initialize(agent, 'files')
  equal((await gateway.rpc(agent, 'files', { session, body: ping })).status, 200)
  const reached = server.reached.length
  for (const [svid, name] of [
    [reader, 'files'],
    [agent, 'twin'],
  ] as const) {
    for (const method of ['POST', 'GET', 'DELETE']) {
      const answer = await gateway.rpc(svid, name, { session, method, body: method === 'POST' ? ping : '' })
      equal(answer.status, 404, `${name} ${method}`)
      equal(answer.headers['doorward-code'], 'session_unknown')
    }
  }
  equal(server.reached.length, reached)
})

test('the owner with a renewed certificate keeps the session', async () => {
  const session = await gateway.initialize(agent, 'files')
  const renewed = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  equal((await gateway.rpc(renewed, 'files', { session, body: ping })).status, 200)
})

test('without a session only initialize is served', async () => {
  for (const method of ['POST', 'GET', 'DELETE']) {
    const answer = await gateway.rpc(agent, 'files', { method, body: method === 'POST' ? ping : '' })
    equal(answer.status, 400)
    equal(answer.headers['doorward-code'], 'session_missing')
  }
})

test('the id is ours, random, and never that of the server', async () => {
  const one = await gateway.initialize(agent, 'files')
  const two = await gateway.initialize(agent, 'files')
  notEqual(one, two)
  ok(/^[A-Za-z0-9_-]{22}$/.test(one))
})

test('the idlest of a caller makes room for a new session', async () => {
  const first = await gateway.initialize(reader, 'files')
  const rest: string[] = []
  for (let i = 0; i < 4; i++) rest.push(await gateway.initialize(reader, 'files'))
  equal((await gateway.rpc(reader, 'files', { session: first, body: ping })).status, 404)
  for (const session of rest) equal((await gateway.rpc(reader, 'files', { session, body: ping })).status, 200)
})

test('a session that was ended is gone', async () => {
  script = (_reached, response) => response.writeHead(200).end()
  const session = await gateway.initialize(agent, 'files')
  equal((await gateway.rpc(agent, 'files', { session, method: 'DELETE' })).status, 200)
  equal(server.reached.at(-1)?.method, 'DELETE')
  equal((await gateway.rpc(agent, 'files', { session, body: ping })).status, 404)
})

test("a session's own stream ends with it, and that is no failure", async () => {
  const session = await gateway.initialize(agent, 'files')
  const open = Promise.withResolvers<void>()
  script = ({ method }, response) => {
    if (method === 'DELETE') return void response.writeHead(200).end()
    stream(response, ': hello\n\n')
    open.resolve()
  }
  const listening = gateway.rpc(agent, 'files', { session, method: 'GET' })
  await open.promise
  equal((await gateway.rpc(agent, 'files', { session, method: 'DELETE' })).status, 200)
  const decision = (await listening).headers['doorward-decision']
  const index = Number(decision?.split('#')[1])
  const outcome = async () => (await gateway.entries('outcome')).find(({ body }) => body['of'] === index)
  while ((await outcome()) === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
  equal((await outcome())?.body['status'], 'completed')
})

test('a server that forgets the session ends it', async () => {
  const session = await gateway.initialize(agent, 'files')
  script = (_reached, response) => response.writeHead(404).end()
  equal((await gateway.rpc(agent, 'files', { session, body: ping })).status, 404)
  script = ({ body }, response) => json(response, answerTo((JSON.parse(body) as { id: number }).id, '{}'))
  equal((await gateway.rpc(agent, 'files', { session, body: ping })).headers['doorward-code'], 'session_unknown')
})

test('a list holds exactly what the caller could call, and every other byte is kept', async () => {
  script = (_reached, response) => json(response, answerTo(1, tools))
  const mine = await gateway.initialize(agent, 'files')
  equal((await gateway.rpc(agent, 'files', { session: mine, body: list(1) })).body, answerTo(1, tools))
  const session = await gateway.initialize(reader, 'files')
  const { body } = await gateway.rpc(reader, 'files', { session, body: list(1) })
  equal(body.includes('write_file'), false)
  ok(body.includes('{"name":"read_file","inputSchema":{},"n":9007199254740993}'))
  ok(body.includes('{"name":"read_dir" , "x":1e400}'))
  ok(body.includes('"nextCursor":"c"'))
  for (const tool of ['read_file', 'write_file']) {
    const called = await gateway.rpc(reader, 'files', {
      session,
      body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${tool}"}}`,
    })
    equal(called.headers['doorward-code'], tool === 'read_file' ? 'allowed' : 'policy_denied')
  }
})

test('a list inside an event stream is filtered, with its event id kept', async () => {
  script = (_reached, response) => {
    stream(
      response,
      'id: 0\ndata: \n\n',
      event('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1e400}}', '1'),
      event(answerTo(1, tools), '2'),
    )
    response.end()
  }
  const session = await gateway.initialize(reader, 'files')
  const answer = await gateway.rpc(reader, 'files', { session, body: list(1) })
  deepEqual(names(messagesOf(answer)), ['read_file', 'read_dir'])
  ok(answer.body.includes('id: 0\ndata: \n\n'))
  ok(
    answer.body.includes(
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1e400}}\n\n',
    ),
  )
  ok(/id: 2\n/.test(answer.body))
})

test('what a reader would take off the beginning of a stream hides no list from us', async () => {
  // A byte order mark; and the letters that one decoder makes of it, which a reader of the official client takes off.
  for (const mark of ['\ufeff', '\u00ef\u00bb\u00bf']) {
    script = (_reached, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.end(
        `${mark}data: {"jsonrpc":"2.0","id":1,"result":${tools}}\n\ndata: {"jsonrpc":"2.0","id":1,"result":${tools}}\n\n`,
      )
    }
    const session = await gateway.initialize(reader, 'files')
    const answer = await gateway.rpc(reader, 'files', { session, body: list(1) })
    equal(answer.body.includes('write_file'), false)
    deepEqual(names(messagesOf(answer), 1), ['read_file', 'read_dir'])
  }
})

test('an event in many pieces and over several lines is one message', async () => {
  script = (_reached, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    const text = `data: {"jsonrpc":"2.0","id":1,\ndata: "result":${tools}}\n\n`
    let at = 0
    const next = () => {
      response.write(text.slice(at, (at += 40)))
      if (at < text.length) setTimeout(next, 1)
      else response.end()
    }
    next()
  }
  const session = await gateway.initialize(reader, 'files')
  const answer = await gateway.rpc(reader, 'files', { session, body: list(1) })
  equal(answer.body.includes('write_file'), false)
  ok(answer.body.includes('read_dir'))
})

test('a list that comes late on the stream of the session is filtered too', async () => {
  script = ({ method }, response) => {
    if (method === 'GET') {
      stream(response, event(answerTo('late', tools), '9'), event(answerTo('never', tools)))
      return
    }
    stream(response, 'id: 1\ndata: \n\n')
    response.end()
  }
  const session = await gateway.initialize(reader, 'files')
  equal((await gateway.rpc(reader, 'files', { session, body: list('late') })).status, 200)
  const until = (text: string) => text.includes('read_dir')
  const answer = await gateway.rpc(
    reader,
    'files',
    { session, method: 'GET', headers: { 'Last-Event-ID': '1' } },
    until,
  )
  equal(answer.headers['content-type'], 'text/event-stream')
  equal(server.reached.at(-1)?.headers['last-event-id'], '1')
  deepEqual(names(messagesOf(answer), 'late'), ['read_file', 'read_dir'])
  equal(answer.body.includes('never'), false)
})

test('a list that can be read in two ways is no list', async () => {
  for (const result of [
    '{"tools":[],"tools":[{"name":"write_file"}]}',
    '{"tools":[{"name":"read_file","Name":"write_file"}]}',
    '{"tools":[],"Tools":[{"name":"write_file"}]}',
    '{"tools":{"name":"write_file"}}',
  ]) {
    script = (_reached, response) => json(response, answerTo(1, result))
    const session = await gateway.initialize(reader, 'files')
    const answer = await gateway.rpc(reader, 'files', { session, body: list(1) })
    equal(answer.body.includes('write_file'), false, result)
    const failed =
      answer.headers['doorward-code'] === 'upstream_invalid' || messagesOf(answer)[0]?.error?.code === -31502
    equal(failed, true, result)
  }
})

test('an answer to somebody else, or to nobody, does not pass', async () => {
  for (const body of [
    answerTo(2, tools),
    answerTo('1', tools),
    '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}',
    '[]',
    'x',
    '',
  ]) {
    script = (_reached, response) => json(response, body)
    const session = await gateway.initialize(reader, 'files')
    const answer = await gateway.rpc(reader, 'files', { session, body: list(1) })
    equal(answer.status, 502, body)
    equal(answer.headers['doorward-code'], 'upstream_invalid')
    equal(answer.body.includes('write_file'), false)
  }
})

test('a request of the server passes only when the client has declared what it needs, and its answer only once', async () => {
  const asks = '{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}'
  script = ({ body, method }, response) => {
    if (method === 'GET') {
      stream(response, event(asks))
      return
    }
    return body.includes('"s1"') ? response.writeHead(202).end() : response.writeHead(500).end()
  }
  const able = await gateway.initialize(agent, 'files', { sampling: {} })
  const heard = await gateway.rpc(agent, 'files', { session: able, method: 'GET' }, (text) =>
    text.includes('createMessage'),
  )
  ok(heard.body.includes(`data: ${asks}\n`))
  const body = '{"jsonrpc":"2.0","id":"s1","result":{"role":"assistant"}}'
  equal((await gateway.rpc(agent, 'files', { session: able, body })).status, 202)
  equal((await gateway.rpc(agent, 'files', { session: able, body })).headers['doorward-code'], 'response_unexpected')

  const unable = await gateway.initialize(agent, 'files')
  const reached = server.reached.length
  const socket = await dial(gateway.connection(agent))
  void talk(socket, await gateway.request(agent, 'files', { session: unable, method: 'GET' }), () => false)
  while (server.reached.length < reached + 2) await new Promise((resolve) => setTimeout(resolve, 5))
  socket.destroy()
  equal(JSON.parse(server.reached.at(-1)?.body ?? '').error.code, -32601)
  equal((await gateway.rpc(agent, 'files', { session: unable, body })).headers['doorward-code'], 'response_unexpected')
})

test('an update of a resource passes only to who may read it', async () => {
  const updated = (uri: string) =>
    event(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"${uri}"}}`)
  script = (_reached, response) => stream(response, updated('file:///secret'), updated('file:///public/a'))
  const session = await gateway.initialize(reader, 'files')
  const answer = await gateway.rpc(reader, 'files', { session, method: 'GET' }, (text) => text.includes('public'))
  equal(answer.body.includes('secret'), false)
})

test('credentials, cookies, redirects and challenges of a server are never relayed', async () => {
  const session = await gateway.initialize(agent, 'files')
  for (const status of [301, 302, 307, 401, 407]) {
    script = (_reached, response) =>
      response
        .writeHead(status, { Location: 'https://evil.example', 'WWW-Authenticate': 'Bearer', 'Set-Cookie': 'a=b' })
        .end('secret')
    const answer = await gateway.rpc(agent, 'files', { session, body: ping })
    equal(answer.status, 502)
    for (const name of ['location', 'www-authenticate', 'set-cookie']) equal(answer.headers[name], undefined)
    equal(answer.text.includes('secret'), false)
  }
  script = (_reached, response) =>
    json(response, answerTo(1, '{}'), { 'Set-Cookie': 'a=b', 'X-Powered-By': 'x', 'Mcp-Session-Id': 'other' })
  const answer = await gateway.rpc(agent, 'files', { session, body: ping })
  equal(answer.status, 200)
  for (const name of ['set-cookie', 'x-powered-by', 'mcp-session-id']) equal(answer.headers[name], undefined)
})

test("a server's own error passes with its status and nothing else", async () => {
  const session = await gateway.initialize(agent, 'files')
  script = (_reached, response) =>
    response
      .writeHead(429, { 'Content-Type': 'application/json', 'Retry-After': '7', 'X-Internal': '1' })
      .end('{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"busy"}}')
  const answer = await gateway.rpc(agent, 'files', { session, body: ping })
  equal(answer.status, 429)
  equal(answer.headers['retry-after'], '7')
  equal(answer.headers['x-internal'], undefined)
  equal(messagesOf(answer)[0]?.error?.code, -32000)
})

test('a server that lies about lengths, breaks off or sends garbage is a bad gateway', async () => {
  const session = await gateway.initialize(agent, 'files')
  const scripts: readonly Script[] = [
    (_reached, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '500' })
      response.write('{"jsonrpc"')
      setTimeout(() => response.destroy(), 5)
    },
    (_reached, _response, request) =>
      request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    (_reached, _response, request) => request.socket.end('nonsense\r\n\r\n'),
    (_reached, response) => response.destroy(),
  ]
  for (const one of scripts) {
    script = one
    equal((await gateway.rpc(agent, 'files', { session, body: ping })).status, 502)
  }
  script = (_reached, response) => json(response, answerTo(1, '{}'))
  equal((await gateway.rpc(agent, 'files', { session, body: ping })).status, 200)
})

test('a caller that goes away ends the request at the server, and the outcome says so', async () => {
  const session = await gateway.initialize(agent, 'files')
  let closed: () => void = () => undefined
  const gone = new Promise<void>((resolve) => (closed = resolve))
  let arrived: () => void = () => undefined
  const there = new Promise<void>((resolve) => (arrived = resolve))
  script = (_reached, response) => {
    response.on('close', closed)
    stream(response, ': hello\n\n')
    arrived()
  }
  const socket = await dial(gateway.connection(agent))
  void talk(socket, await gateway.request(agent, 'files', { session, body: ping }), () => false)
  await there
  socket.destroy()
  await gone
  const outcome = async () => (await gateway.entries('outcome')).some(({ body }) => body['status'] === 'cancelled')
  while (!(await outcome())) await new Promise((resolve) => setTimeout(resolve, 5))
})

test('two requests of one session may not wait under one id', async () => {
  const session = await gateway.initialize(agent, 'files')
  const waiting: (() => void)[] = []
  script = (_reached, response) => void waiting.push(() => json(response, answerTo(1, '{}')))
  const first = gateway.rpc(agent, 'files', { session, body: ping })
  while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  equal((await gateway.rpc(agent, 'files', { session, body: ping })).headers['doorward-code'], 'request_invalid')
  waiting[0]?.()
  equal((await first).status, 200)
})

test('one connection carries many requests in turn', async () => {
  const session = await gateway.initialize(agent, 'files')
  script = ({ body }, response) => json(response, answerTo((JSON.parse(body) as { id: number }).id, '{}'))
  const socket = await dial(gateway.connection(agent))
  for (let id = 0; id < 20; id++) {
    const body = `{"jsonrpc":"2.0","id":${id},"method":"ping"}`
    const answer = parseAnswer(await talk(socket, await gateway.request(agent, 'files', { session, body })))
    equal(answer.body, answerTo(id, '{}'))
  }
  socket.destroy()
})
