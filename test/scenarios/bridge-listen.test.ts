import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { request } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { after, before, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import { openListenBridge } from '../../packages/server/src/apps/bridge-listen.ts'
import type { ListenBridge } from '../../packages/server/src/apps/bridge-listen.ts'
import { BridgeStage, events, json } from './bridge-stage.ts'

let stage: BridgeStage
let bridge: ListenBridge
const notices: string[] = []
before(async () => {
  stage = await BridgeStage.open()
  const notice = (text: string) => void notices.push(text)
  bridge = await openListenBridge({ fetch: stage.identity, endpoint: stage.endpoint, port: 0, notice })
})
after(async () => {
  await bridge.close()
  await stage.close()
})
beforeEach(() => {
  stage.seen.length = 0
  notices.length = 0
  stage.answer = (_, response) => json(response, 200, { ok: true })
})

interface Reply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

function send(
  headers: OutgoingHttpHeaders = {},
  more: { method?: string; path?: string; body?: string } = {},
): Promise<Reply> {
  const url = new URL(more.path ?? '/mcp', bridge.url)
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: more.method ?? 'POST', headers, agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts).toString() }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(more.body)
  })
}

test('a request arrives with certificate and token, the answer comes back', async () => {
  const reply = await send({ 'content-type': 'application/json', 'mcp-session-id': 's' }, { body: '{"a":1}' })
  assert.equal(reply.status, 200)
  assert.equal(reply.body, '{"ok":true}')
  const [seen] = stage.seen
  assert.match(seen?.headers.authorization ?? '', /^Bearer ey/)
  assert.equal(seen?.headers['mcp-session-id'], 's')
  assert.equal(seen?.body, '{"a":1}')
  assert.equal(seen?.path, '/mcp/files')
})

test("the client's own credentials do not travel", async () => {
  await send({ authorization: 'Bearer stolen', cookie: 'a=b', 'x-forwarded-for': '1.2.3.4' })
  const headers = stage.seen[0]?.headers
  assert.doesNotMatch(headers?.authorization ?? '', /stolen/)
  assert.equal(headers?.cookie, undefined)
  assert.equal(headers?.['x-forwarded-for'], undefined)
})

test('its own host becomes the gateway, its own origin is left out', async () => {
  const own = new URL(bridge.url)
  await send({ origin: own.origin })
  await send({ host: `localhost:${own.port}`, origin: `http://localhost:${own.port}` })
  for (const { headers } of stage.seen) {
    assert.equal(headers.host, new URL(stage.url).host)
    assert.equal(headers.origin, undefined)
  }
})

test('a foreign host or origin is passed on for the gateway to refuse', async () => {
  await send({ host: 'evil.example' })
  await send({ origin: 'https://evil.example' })
  assert.equal(stage.seen[0]?.headers.host, 'evil.example')
  assert.equal(stage.seen[1]?.headers.origin, 'https://evil.example')
})

test('a refusal of the gateway keeps status, headers and body', async () => {
  stage.answer = (_, response) => json(response, 403, { error: 'no' }, { 'doorward-code': 'origin_unknown' })
  const reply = await send()
  assert.equal(reply.status, 403)
  assert.equal(reply.headers['doorward-code'], 'origin_unknown')
  assert.equal(reply.body, '{"error":"no"}')
})

test('events arrive while the stream is open, and a client that leaves ends it upstream', async () => {
  let left: () => void = () => undefined
  const gone = new Promise<void>((resolve) => (left = resolve))
  stage.answer = (_, response) => {
    events(response)({ data: { n: 1 } })
    response.once('close', () => left())
  }
  await new Promise<void>((resolve, reject) => {
    const outgoing = request(bridge.url, { method: 'GET', agent: false }, (response) => {
      response.once('data', () => {
        response.destroy()
        resolve()
      })
    })
    outgoing.once('error', reject)
    outgoing.end()
  })
  await gone
})

const isRoot = process.getuid?.() === 0
const nobody = 65_534
const asking = `import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("POST", "/mcp", body="{}")
answer = connection.getresponse()
print(answer.status, answer.read().decode())`

/** What this user of the machine is answered at the bridge. */
async function askedAs(uid: number): Promise<string> {
  const { port } = new URL(bridge.url)
  const options = { uid, gid: uid, cwd: '/' }
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', asking, port], options)
  return stdout
}

test('another user of the machine does not call by this identity', { skip: !isRoot }, async () => {
  assert.match(await askedAs(nobody), /^403 .*"code":"local_caller_refused"/)
  assert.equal(stage.seen.length, 0)
  assert.deepEqual(notices, [`refused: a call of uid ${nobody}`])
  assert.match(await askedAs(0), /^200 /)
  assert.equal(stage.seen.length, 1)
})

test('other paths lead nowhere', async () => {
  assert.equal((await send({}, { path: '/v1/renew' })).status, 404)
  assert.equal(stage.seen.length, 0)
})

test('a body above the limit is refused here', async () => {
  const reply = await send({}, { body: 'x'.repeat(2 * 1024 * 1024 + 1) }).catch(() => ({ status: 413 }))
  assert.equal(reply.status, 413)
  assert.equal(stage.seen.length, 0)
})

test('a gateway out of reach is told as a JSON-RPC error of the request', async () => {
  const endpoint = { ...stage.endpoint, url: 'https://127.0.0.1:1/mcp/files' }
  const lost = await openListenBridge({ fetch: stage.identity, endpoint, port: 0, notice: () => undefined })
  const response = await fetch(lost.url, { method: 'POST', body: '{"jsonrpc":"2.0","id":5,"method":"ping"}' })
  assert.equal(response.status, 502)
  const { id, error } = (await response.json()) as { id: number; error: { data: { code: string } } }
  assert.equal(id, 5)
  assert.equal(error.data.code, 'server_unreachable')
  await lost.close()
})

test('a port in use is told as such', async () => {
  const port = Number(new URL(bridge.url).port)
  const attempt = openListenBridge({ fetch: stage.identity, endpoint: stage.endpoint, port, notice: () => undefined })
  await assert.rejects(attempt, { code: 'port_in_use' })
})
