import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { asServer, BridgeStage, events, json } from './bridge-stage.ts'
import type { StdioHost } from './bridge-stage.ts'

let stage: BridgeStage
let host: StdioHost
before(async () => {
  stage = await BridgeStage.open()
})
after(() => stage.close())
beforeEach(() => {
  stage.seen.length = 0
  stage.answer = asServer((_, response) => json(response, 200, {}))
  host = stage.bridge()
})
afterEach(async () => {
  host.input.end()
  host.stop.abort()
  await host.done
})

const call = (id: number) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x' } })
const posts = () => stage.seen.filter(({ method }) => method === 'POST')

test('every request carries a bound token, and after initialization session and version', async () => {
  await host.initialize()
  stage.answer = asServer((_, response) => json(response, 200, { jsonrpc: '2.0', id: 1, result: {} }))
  host.send(call(1))
  await host.next()
  for (const { headers } of posts()) assert.match(headers.authorization ?? '', /^Bearer ey/)
  const [first, second, third] = posts()
  assert.equal(first?.headers['mcp-session-id'], undefined)
  for (const seen of [second, third]) {
    assert.equal(seen?.headers['mcp-session-id'], 'session-1')
    assert.equal(seen?.headers['mcp-protocol-version'], '2025-06-18')
  }
})

test('nothing overtakes initialize', async () => {
  let release: () => void = () => undefined
  const answer = stage.answer
  stage.answer = (seen, response) => {
    release = () => answer(seen, response)
  }
  host.send({ jsonrpc: '2.0', id: 0, method: 'initialize', params: {} })
  host.send({ jsonrpc: '2.0', method: 'notifications/initialized' })
  while (posts().length === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(posts().length, 1)
  stage.answer = answer
  release()
  await host.next()
  while (posts().length < 2) await new Promise((resolve) => setImmediate(resolve))
})

test('the bytes of the client arrive as they were written', async () => {
  await host.initialize()
  const exact = '{ "id": 4, "jsonrpc":"2.0","method":"tools/call","params":{"n":1e400,"big":9007199254740993} }'
  stage.answer = asServer((_, response) => json(response, 200, { jsonrpc: '2.0', id: 4, result: {} }))
  host.send(exact)
  await host.next()
  assert.equal(posts().at(-1)?.body, exact)
})

test('events are relayed as lines in their order, before the stream ends', async () => {
  await host.initialize()
  stage.answer = asServer((_, response) => {
    const send = events(response)
    send({ data: { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } } })
    send({ data: { jsonrpc: '2.0', id: 99, method: 'sampling/createMessage' } })
    setTimeout(() => {
      send({ data: { jsonrpc: '2.0', id: 2, result: { done: true } } })
      response.end()
    }, 20)
  })
  host.send(call(2))
  assert.equal((await host.nextMessage())['method'], 'notifications/progress')
  assert.equal((await host.nextMessage())['method'], 'sampling/createMessage')
  assert.deepEqual((await host.nextMessage())['result'], { done: true })
})

test('an answer of the client to the server is posted', async () => {
  await host.initialize()
  host.send({ jsonrpc: '2.0', id: 99, result: { ok: true } })
  host.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 5 } })
  while (posts().length < 4) await new Promise((resolve) => setImmediate(resolve))
  assert.match(posts()[2]?.body ?? '', /"result"/)
  assert.match(posts()[3]?.body ?? '', /notifications\/cancelled/)
})

test('a cancelled request is let go of once the server has accepted the cancellation', async () => {
  await host.initialize()
  let gone: () => void = () => undefined
  const left = new Promise<void>((resolve) => (gone = resolve))
  stage.answer = asServer((_, response) => {
    events(response)
    response.once('close', () => gone())
  })
  host.send(call(20))
  while (posts().length < 3) await new Promise((resolve) => setImmediate(resolve))
  host.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 20 } })
  await left
  host.send('not json')
  assert.equal((await host.nextMessage())['id'], null)
})

test('a stream that breaks before its answer is resumed after the last event', async () => {
  await host.initialize()
  const fallback = asServer((_, response) => {
    events(response)({ data: '', id: 'event-7', retry: 1 })
    response.end()
  })
  stage.answer = (seen, response) => {
    if (seen.method !== 'GET' || seen.headers['last-event-id'] === undefined) return fallback(seen, response)
    events(response)({ data: { jsonrpc: '2.0', id: 3, result: { resumed: true } }, id: 'event-8' })
    response.end()
  }
  host.send(call(3))
  assert.deepEqual((await host.nextMessage())['result'], { resumed: true })
  assert.equal(
    stage.seen.find(({ headers }) => headers['last-event-id'] !== undefined)?.headers['last-event-id'],
    'event-7',
  )
})

test('a stream that ends without an answer and cannot be resumed becomes an error for the request', async () => {
  await host.initialize()
  stage.answer = asServer((_, response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end())
  host.send(call(6))
  const answer = await host.nextMessage()
  assert.equal(answer['id'], 6)
  assert.equal((answer['error'] as { data: { code: string } }).data.code, 'upstream_unavailable')
})

test('a refusal reaches the client as an error of its request, with code and decision', async () => {
  await host.initialize()
  const body = {
    jsonrpc: '2.0',
    id: null,
    error: {
      code: -31429,
      message: 'this caller is at its request limit',
      data: { code: 'limit_user', decision: 'td#4' },
    },
  }
  stage.answer = asServer((_, response) =>
    json(response, 429, body, { 'doorward-code': 'limit_user', 'retry-after': '3' }),
  )
  host.send(call(8))
  const answer = await host.nextMessage()
  assert.equal(answer['id'], 8)
  assert.deepEqual(answer['error'], body.error)
})

test('markup of a third party never reaches the client', async () => {
  await host.initialize()
  stage.answer = asServer(
    (_, response) => void response.writeHead(502, { 'content-type': 'text/html' }).end('<html>login here</html>'),
  )
  host.send(call(9))
  assert.doesNotMatch(await host.next(), /html|login/)
})

test('a session that the gateway has ended tells the host to restart', async () => {
  await host.initialize()
  stage.answer = (_, response) =>
    json(
      response,
      404,
      { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'session not found' } },
      { 'doorward-code': 'session_unknown' },
    )
  host.send(call(10))
  const { id, error } = (await host.nextMessage()) as { id: number; error: { code: number; message: string } }
  assert.equal(id, 10)
  assert.equal(error.code, -32001)
  assert.match(error.message, /restart/)
})

test('a token that has lapsed is replaced once', async () => {
  await host.initialize()
  const tokens: string[] = []
  stage.answer = asServer((seen, response) => {
    tokens.push(seen.headers.authorization ?? '')
    if (tokens.length === 1) return json(response, 401, { error: {} }, { 'doorward-code': 'token_expired' })
    json(response, 200, { jsonrpc: '2.0', id: 11, result: {} })
  })
  host.send(call(11))
  assert.deepEqual((await host.nextMessage())['result'], {})
  assert.equal(new Set(tokens).size, 2)
})

test('what is not JSON is answered here and not sent', async () => {
  await host.initialize()
  while (posts().length < 2) await new Promise((resolve) => setImmediate(resolve))
  host.send('{"jsonrpc":')
  const answer = await host.nextMessage()
  assert.equal(answer['id'], null)
  assert.equal((answer['error'] as { code: number }).code, -32700)
  assert.equal(posts().length, 2)
})

test('a JSON answer over several lines becomes one line', async () => {
  await host.initialize()
  stage.answer = asServer((_, response) => {
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end('{\n "jsonrpc": "2.0",\r\n "id": 12, "result": {"text": "a\\nb"}\n}')
  })
  host.send(call(12))
  assert.deepEqual((await host.nextMessage())['result'], { text: 'a\nb' })
})

test("the server's own stream is opened after initialization and resumed with its last event", async () => {
  const gets: (string | undefined)[] = []
  const fallback = asServer((_, response) => json(response, 200, {}))
  stage.answer = (seen, response) => {
    if (seen.method !== 'GET') return fallback(seen, response)
    gets.push(seen.headers['last-event-id'] as string | undefined)
    const send = events(response)
    send({
      data: { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { at: gets.length } },
      id: `e${gets.length}`,
      retry: 1,
    })
    if (gets.length === 1) response.end()
  }
  await host.initialize()
  assert.deepEqual((await host.nextMessage())['params'], { at: 1 })
  assert.deepEqual((await host.nextMessage())['params'], { at: 2 })
  assert.deepEqual(gets, [undefined, 'e1'])
})

test('a message of the modern era carries its own headers and no session', async () => {
  stage.answer = (_, response) =>
    json(response, 400, {
      jsonrpc: '2.0',
      id: 13,
      error: { code: -32022, message: 'the protocol version is not supported', data: { supported: ['2025-11-25'] } },
    })
  const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
  host.send({ jsonrpc: '2.0', id: 13, method: 'tools/call', params: { name: 'lööp', _meta: meta } })
  assert.equal(((await host.nextMessage())['error'] as { code: number }).code, -32022)
  const headers = posts()[0]?.headers
  assert.equal(headers?.['mcp-protocol-version'], '2026-07-28')
  assert.equal(headers?.['mcp-method'], 'tools/call')
  assert.equal(headers?.['mcp-name'], `=?base64?${Buffer.from('lööp').toString('base64')}?=`)
})

test('when the host closes its end, open requests are answered and the session is ended', async () => {
  await host.initialize()
  stage.answer = asServer((_, response) => {
    setTimeout(() => json(response, 200, { jsonrpc: '2.0', id: 14, result: {} }), 30)
  })
  host.send(call(14))
  host.input.end()
  assert.equal((await host.nextMessage())['id'], 14)
  await host.done
  const last = stage.seen.at(-1)
  assert.equal(last?.method, 'DELETE')
  assert.equal(last?.headers['mcp-session-id'], 'session-1')
})

test('a signal ends the bridge while requests are open', async () => {
  await host.initialize()
  stage.answer = (seen, response) => {
    if (seen.method === 'DELETE' || seen.body.includes('initialized')) response.writeHead(200).end()
  }
  host.send(call(15))
  while (posts().length < 3) await new Promise((resolve) => setImmediate(resolve))
  host.stop.abort()
  await host.done
  assert.equal(stage.seen.at(-1)?.method, 'DELETE')
})
