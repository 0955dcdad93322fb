/** Plain HTTP services that fail: what they send is never passed on as an answer, and never taken for whole when it is not. */

import { equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { BackendStage, good, plain, whole } from '../fixtures/backend-stage.ts'
import type { Tap } from '../fixtures/backend-stage.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { unreached } from '../fixtures/unreached.ts'

let stage: BackendStage
let orders: Tap
let all: TestSvid

before(async () => {
  stage = await BackendStage.open({
    all: ['read:orders/*', 'write:orders/*'],
    reader: ['read'],
    narrow: ['GET:orders/v1/public/*', 'POST:orders/v1/public/items'],
  })
  orders = stage.tap
  all = await stage.gateway.trust.issue('agent/all', { roles: ['all'] })
})

after(() => stage.close())

const piece = (content: string) => `${content.length.toString(16)}\r\n${content}\r\n`
const chunked = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n'

const faults: readonly (readonly [name: string, code: string, answer: Tap['answer']])[] = [
  [
    'a service that redirects is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write('HTTP/1.1 302 x\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n'),
  ],
  [
    'a service that asks for credentials is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write('HTTP/1.1 401 x\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n'),
  ],
  [
    'a service that compresses unasked is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write(plain('x', 'Content-Encoding: gzip\r\n')),
  ],
  [
    'a service that promises too much is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n'),
  ],
  [
    'a service that contradicts itself about lengths is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write(plain('x', 'Transfer-Encoding: chunked\r\n')),
  ],
  [
    'a service that floods with informational answers is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write('HTTP/1.1 103 x\r\n\r\n'.repeat(100)),
  ],
  [
    'a service that floods with headers is upstream_invalid',
    'upstream_invalid',
    (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${'X-F: 0123456789\r\n'.repeat(2000)}\r\n`),
  ],
  ['a service that says nothing is upstream_timeout', 'upstream_timeout', () => undefined],
  ['a service that goes at once is upstream_unavailable', 'upstream_unavailable', (socket) => void socket.destroy()],
]

for (const [name, code, answer] of faults) {
  test(name, { timeout: 10_000 }, async () => {
    orders.answer = answer
    const sent = orders.requests.length
    const failed = await stage.ask(all, '/http/orders/v1/x')
    equal(failed.headers['doorward-code'], code)
    equal(failed.status, code === 'upstream_timeout' ? 504 : 502)
    for (const header of ['location', 'www-authenticate']) equal(failed.headers[header], undefined)
    const { code: recorded, explanation } = await stage.outcomeOf(failed)
    equal(recorded, code)
    ok(typeof explanation === 'string' && explanation.length > 10 && !failed.body.includes(explanation))
    equal(orders.requests.length, sent + 1)
    orders.answer = good
    equal((await stage.ask(all, '/http/orders/v1/x')).status, 200)
  })
}

const broken: readonly (readonly [name: string, code: string, answer: Tap['answer']])[] = [
  [
    'an answer that is too long is never taken for whole',
    'upstream_invalid',
    (socket) => void socket.write(chunked + piece('x'.repeat(10_000)).repeat(6)),
  ],
  [
    'an answer that stops is never taken for whole',
    'upstream_timeout',
    (socket) => void socket.write(chunked + piece('beginning')),
  ],
  [
    'an answer that breaks off is never taken for whole',
    'upstream_unavailable',
    (socket) => {
      socket.write(chunked + piece('beginning'))
      setTimeout(() => socket.destroy(), 20)
    },
  ],
]

for (const [name, code, answer] of broken) {
  test(name, { timeout: 10_000 }, async () => {
    orders.answer = answer
    const socket = await dial(stage.gateway.connection(all))
    const got = parseAnswer(await talk(socket, await stage.text(all, '/http/orders/v1/x'), () => false))
    equal(got.status, 200)
    equal(got.body.endsWith('0\r\n\r\n'), false)
    equal((await stage.outcomeOf(got))['code'], code)
    orders.answer = good
    equal((await stage.ask(all, '/http/orders/v1/x')).status, 200)
  })
}

test(
  'an event stream passes as it comes, and is not held to the time of other answers',
  { timeout: 10_000 },
  async () => {
    orders.answer = (socket) => {
      socket.write(chunked.replace('text/plain', 'text/event-stream') + piece('data: 1\n\n'))
      setTimeout(() => socket.write(piece('data: 2\n\n') + '0\r\n\r\n'), 700)
    }
    const socket = await dial(stage.gateway.connection(all))
    const first = await talk(socket, await stage.text(all, '/http/orders/v1/events'), (soFar) =>
      soFar.includes('data: 1'),
    )
    equal(first.includes('data: 2'), false)
    const rest = await talk(socket, '', whole)
    ok(rest.includes('data: 2'))
    socket.destroy()
  },
)

test('a caller that goes away ends the request at the service', { timeout: 10_000 }, async () => {
  const gone = Promise.withResolvers<void>()
  orders.answer = (socket) => {
    socket.once('close', () => gone.resolve())
    socket.write(chunked + piece('beginning'))
  }
  const socket = await dial(stage.gateway.connection(all))
  await talk(socket, await stage.text(all, '/http/orders/v1/x'), (soFar) => soFar.includes('beginning'))
  socket.destroy()
  await gone.promise
  while ((await stage.gateway.entries('outcome')).at(-1)?.body['status'] !== 'cancelled') await sleep(5)
})

test('what is idempotent is tried once more when nothing was sent; a POST is not', { timeout: 10_000 }, async () => {
  orders.answer = good
  await orders.down()
  const posted = await stage.ask(all, '/http/orders/v1/x', { method: 'POST', body: 'x' })
  equal(posted.headers['doorward-code'], 'upstream_unavailable')
  equal((await stage.outcomeOf(posted))['attempts'], undefined)
  const refused = unreached(orders.url)
  const getting = stage.ask(all, '/http/orders/v1/x')
  await refused
  await orders.up()
  const got = await getting
  equal(got.status, 200)
  equal((await stage.outcomeOf(got))['attempts'], 2)
})
