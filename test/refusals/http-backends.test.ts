/** Plain HTTP services: what was judged is what the service sees, byte for byte, and nothing else of the caller. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { BackendStage, backendAudience, good, whole } from '../fixtures/backend-stage.ts'
import type { Tap } from '../fixtures/backend-stage.ts'
import { audienceOf } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: BackendStage
let orders: Tap
let all: TestSvid
let reader: TestSvid
let narrow: TestSvid

before(async () => {
  stage = await BackendStage.open({
    all: ['read:orders/*', 'write:orders/*'],
    reader: ['read'],
    narrow: ['GET:orders/v1/public/*', 'POST:orders/v1/public/items'],
  })
  orders = stage.tap
  all = await stage.gateway.trust.issue('agent/all', { roles: ['all'] })
  reader = await stage.gateway.trust.issue('agent/reader', { roles: ['reader'] })
  narrow = await stage.gateway.trust.issue('agent/narrow', { roles: ['narrow'] })
})

after(() => stage.close())

test('the method is the action, the path the resource; what no permission covers does not reach the service', async () => {
  orders.answer = good
  const read = await stage.ask(narrow, '/http/orders/v1/public/items?page=2&q=a%20b')
  equal(read.status, 200)
  equal(read.headers['doorward-code'], 'allowed')
  match(read.body, /fine/)
  equal(orders.requests.at(-1)?.head.split('\r\n')[0], 'GET /base/v1/public/items?page=2&q=a%20b HTTP/1.1')
  deepEqual((({ status, http }) => ({ status, http }))(await stage.outcomeOf(read)), { status: 'completed', http: 200 })

  const posted = await stage.ask(narrow, '/http/orders/v1/public/items', { method: 'POST', body: '{"n":1e400}\r\n' })
  equal(posted.status, 200)
  equal(orders.requests.at(-1)?.body, '{"n":1e400}\r\n')

  const sent = orders.requests.length
  for (const [svid, method, path, permission] of [
    [narrow, 'GET', '/v1/secret', 'GET:orders/v1/secret'],
    [narrow, 'DELETE', '/v1/public/items', 'DELETE:orders/v1/public/items'],
    [narrow, 'POST', '/v1/public/other', 'POST:orders/v1/public/other'],
    [narrow, 'HEAD', '/v1/public/items', 'HEAD:orders/v1/public/items'],
    [narrow, 'GET', '/v1/publicity', 'GET:orders/v1/publicity'],
    [narrow, 'GET', '/v1/public', 'GET:orders/v1/public'],
    [narrow, 'GET', '/', 'GET:orders/*'],
    [reader, 'POST', '/v1/public/items', 'POST:orders/v1/public/items'],
    [narrow, 'GET', '/v1/secret/', 'GET:orders/v1/secret'],
  ] as const) {
    const refused = await stage.ask(svid, `/http/orders${path}`, { method })
    equal(refused.status, 403, path)
    equal(refused.headers['doorward-code'], 'policy_denied')
    if (method !== 'HEAD') ok(refused.body.includes(`"permission":"${permission}"`), `${path} ${refused.body}`)
    const entry = (await stage.gateway.entries()).at(-1)?.body
    deepEqual([entry?.['decision'], entry?.['action'], entry?.['would_allow']], ['deny', method, permission])
  }
  equal(orders.requests.length, sent)
})

test('only the methods of the service exist, and they are told', async () => {
  const sent = orders.requests.length
  for (const method of ['PUT', 'PATCH', 'TRACE', 'CONNECT', 'PROPFIND', 'get', 'INVALID']) {
    const refused = await stage.ask(all, '/http/orders/v1/x', { method })
    ok([400, 405].includes(refused.status), `${method}: ${refused.status}`)
    if (refused.status === 405 && refused.headers['allow'] !== undefined)
      equal(refused.headers['allow'], 'GET, HEAD, OPTIONS, POST, DELETE')
  }
  equal((await stage.ask(all, '/http/orders/v1/x', { method: 'PUT' })).headers['doorward-code'], 'http_method')
  equal(orders.requests.length, sent)
})

test('without a token for this service nothing passes, and unknown paths are nothing', async () => {
  const sent = orders.requests.length
  const codes = [
    (await stage.ask(all, '/http/orders/v1/x', { token: null })).headers['doorward-code'],
    (await stage.ask(all, '/http/orders/v1/x', { token: await stage.gateway.trust.token(all, audienceOf('files')) }))
      .headers['doorward-code'],
    (await stage.ask(all, '/http/orders/v1/x', { token: await stage.gateway.trust.token(narrow, backendAudience) }))
      .headers['doorward-code'],
    (await stage.ask(all, '/http/nothing/v1/x')).headers['doorward-code'],
    (await stage.ask(all, '/http/orders')).headers['doorward-code'],
    (await stage.ask(all, '/http/')).headers['doorward-code'],
    (await stage.ask(all, '/http/__proto__/x')).headers['doorward-code'],
    (await stage.ask(all, '/http/files/x')).headers['doorward-code'],
    (await stage.ask(all, '/mcp/orders')).headers['doorward-code'],
  ]
  deepEqual(codes, [
    'token_missing',
    'token_audience',
    'token_binding',
    ...Array.from({ length: 6 }, () => 'path_unknown'),
  ])
  equal(orders.requests.length, sent)
})

/** Dots, escapes, parameters and characters that a path does not have. */
const others =
  '/./x /x/. /x/.. /x. //x /x;a=b /%78 /%zz /% /%4 /a%2fb /%e9 /%C3%a9 /x#secret /x%23y%00 /\u0000 /é /%ED%A0%80 /%F8%88%80%80%80 /{x} /"'
    .split(' ')
    .map((rest) => `/v1/public${rest}`)

/** Ways to write `/v1/secret` that somebody may read so, below a prefix that may be read. */
function spellings(): readonly string[] {
  const dots = [
    '..',
    '%2e%2e',
    '%2E%2E',
    '.%2e',
    '%2e.',
    '..;',
    '..;x=1',
    '%252e%252e',
    '..%00',
    '..%20',
    '%c0%ae%c0%ae',
  ]
  const slashes = [
    '/',
    '//',
    '/./',
    '%2f',
    '%2F',
    '\\',
    '%5c',
    '%5C',
    '/%2e/',
    '%252f',
    ';/',
    '/;/',
    '%00/',
    '%ef%bc%8f',
  ]
  const up = dots.flatMap((dot) => slashes.map((slash) => `/v1/public${slash}${dot}${slash}secret`))
  const direct = slashes.flatMap((slash) => [`/v1${slash}secret`, `${slash}v1/secret`, `/v1/public${slash}${slash}x`])
  return [...up, ...direct, ...others]
}

test('a path is decided and forwarded in its one spelling: any other is refused, and none means something else there', async () => {
  orders.answer = good
  const paths = spellings()
  ok(paths.length >= 200, String(paths.length))
  const socket = await dial(stage.gateway.connection(narrow))
  const open = { socket }
  const forwarded: string[] = []
  for (const path of paths) {
    if (open.socket.destroyed) open.socket = await dial(stage.gateway.connection(narrow))
    const sent = orders.requests.length
    const request = Buffer.from(await stage.text(narrow, `/http/orders${path}`), 'latin1')
    const answer = parseAnswer(await talk(open.socket, request, whole))
    if (answer.status === 200) {
      forwarded.push(path)
      equal(orders.requests.length, sent + 1)
      equal(orders.requests.at(-1)?.head.split(' ')[1], `/base${path}`)
      continue
    }
    equal(orders.requests.length, sent, path)
    ok([400, 403, 404].includes(answer.status), `${path}: ${answer.status}`)
    if (answer.headers['connection'] === 'close') open.socket.destroy()
  }
  open.socket.destroy()
  for (const path of forwarded) {
    const there = new URL(`http://x${path}`).pathname
    ok(there.startsWith('/v1/public/'), `${path} is ${there} at the service`)
    equal(there, path)
  }
})

test('absolute, authority and asterisk forms are no paths', async () => {
  const sent = orders.requests.length
  for (const target of [
    `http://${stage.gateway.host}/http/orders/v1/x`,
    `https://evil.example/http/orders/v1/x`,
    stage.gateway.host,
    '*',
    'http/orders/v1/x',
    '?x',
    '//evil.example/http/orders/v1/x',
  ]) {
    const answer = await stage.ask(all, target)
    ok([400, 404].includes(answer.status), `${target}: ${answer.status}`)
  }
  equal(orders.requests.length, sent)
})

test('a parameter that stands for another method is refused', async () => {
  const sent = orders.requests.length
  for (const query of ['_method=DELETE', 'a=1&_METHOD=put', '%5Fmethod=DELETE', 'x-http-method-override=DELETE']) {
    const answer = await stage.ask(all, `/http/orders/v1/x?${query}`, { method: 'POST' })
    equal(answer.headers['doorward-code'], 'request_invalid', query)
  }
  equal(orders.requests.length, sent)
})

test('nothing of the caller but the listed headers reaches the service', async () => {
  orders.answer = good
  const forbidden = {
    Cookie: 'a=b',
    'X-Forwarded-For': '1.2.3.4',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Client-Cert': 'By=x',
    Forwarded: 'for=1.2.3.4',
    'X-Real-IP': '1.2.3.4',
    'X-Http-Method-Override': 'DELETE',
    'X-Original-URL': '/admin',
    'X-Rewrite-URL': '/admin',
    'Proxy-Authorization': 'Basic x',
    'Doorward-Principal': 'spiffe://test.example/agent/root',
    'X-Spiffe-Id': 'spiffe://test.example/agent/root',
    TE: 'trailers',
    'Accept-Encoding': 'gzip',
    'X-Anything': 'else',
    DPoP: 'x',
  }
  const passed = { Accept: 'text/plain', 'If-None-Match': '"a"', 'X-Api-Version': '2', 'Idempotency-Key': 'k' }
  equal((await stage.ask(all, '/http/orders/v1/x', { headers: { ...forbidden, ...passed } })).status, 200)
  const head = orders.requests.at(-1)?.head.toLowerCase() ?? ''
  const names = head
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(':')[0])
  deepEqual(
    names.filter((name) => name !== 'connection').toSorted((a = '', b = '') => a.localeCompare(b)),
    ['accept', 'accept-encoding', 'host', 'idempotency-key', 'if-none-match', 'user-agent', 'x-api-version'],
  )
  ok(head.includes('accept-encoding: identity\r\n'))
  ok(head.includes(`host: ${new URL(orders.url).host}`))
})

test('bodies are bounded, and methods that only read have none', async () => {
  const sent = orders.requests.length
  const large = await stage.ask(all, '/http/orders/v1/x', { method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) })
  equal(large.status, 413)
  for (const method of ['GET', 'OPTIONS'])
    equal((await stage.ask(all, '/http/orders/v1/x', { method, body: 'x' })).status, 413, method)
  equal(orders.requests.length, sent)
})

test('answers pass with their status and the listed headers; HEAD and 304 have no body', async () => {
  orders.answer = (socket) =>
    void socket.write(
      'HTTP/1.1 404 Not Here\r\nContent-Type: application/json\r\nX-Total: 3\r\nX-Internal: 10.0.0.1\r\nServer: x\r\nSet-Cookie: a=b\r\nStrict-Transport-Security: max-age=0\r\nAccess-Control-Allow-Origin: *\r\nETag: "e"\r\nContent-Length: 2\r\n\r\n{}',
    )
  const answer = await stage.ask(all, '/http/orders/v1/x')
  equal(answer.status, 404)
  for (const [name, value] of [
    ['content-type', 'application/json'],
    ['x-total', '3'],
    ['etag', '"e"'],
    ['cache-control', 'no-store'],
    ['strict-transport-security', 'max-age=31536000'],
    ['x-internal', undefined],
    ['server', undefined],
    ['set-cookie', undefined],
    ['access-control-allow-origin', undefined],
  ] as const)
    equal(answer.headers[name], value, name)
  orders.answer = (socket) => void socket.write('HTTP/1.1 304 Same\r\nETag: "e"\r\n\r\n')
  equal((await stage.ask(all, '/http/orders/v1/x')).status, 304)
  orders.answer = (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n')
  equal((await stage.ask(all, '/http/orders/v1/x', { method: 'HEAD' })).status, 200)
  orders.answer = (socket) => void socket.write('HTTP/1.1 204 Gone\r\n\r\n')
  equal((await stage.ask(all, '/http/orders/v1/x', { method: 'DELETE' })).status, 204)
})
