/**
 * `output.redact` of a plain HTTP service: known secrets are taken out of JSON and texts, whichever way they are cut in pieces,
 * and what cannot be read is refused. The answers of a service without it pass as they are.
 */

import { equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { BackendStage, plain, whole } from '../fixtures/backend-stage.ts'
import type { Tap } from '../fixtures/backend-stage.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const secret = 'ghp_abcdefghijklmnopqrstuvwxyz012345'
const roles = { all: ['read:orders/*', 'write:orders/*'] }
let stage: BackendStage
let bare: BackendStage
let orders: Tap
let all: TestSvid

before(async () => {
  stage = await BackendStage.open(roles, { redact: true, requestHeaders: [], answerHeaders: ['x-total', 'x-next'] })
  bare = await BackendStage.open(roles)
  orders = stage.tap
  all = await stage.gateway.trust.issue('agent/all', { roles: ['all'] })
})
after(async () => {
  await stage.close()
  await bare.close()
})

const piece = (content: string) => `${Buffer.byteLength(content, 'latin1').toString(16)}\r\n${content}\r\n`
const head = (type: string, more = '', status = '200 OK') =>
  `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\n${more}Transfer-Encoding: chunked\r\n\r\n`
const answering = (type: string, body: string, more = ''): Tap['answer'] => {
  return (socket) => void socket.write(`${head(type, more)}${piece(body)}0\r\n\r\n`, 'latin1')
}

/** Chunked, as callers get it. */
function bodyOf(text: string): string {
  let [out, rest] = ['', text]
  for (;;) {
    const end = rest.indexOf('\r\n')
    const length = Number.parseInt(rest.slice(0, end), 16)
    if (!(length > 0)) return out
    out += rest.slice(end + 2, end + 2 + length)
    rest = rest.slice(end + 4 + length)
  }
}

async function told(on = stage, svid = all): Promise<{ readonly body: string; readonly redacted: unknown }> {
  const answer = await on.ask(svid, '/http/orders/v1/x')
  equal(answer.status, 200, answer.text)
  return { body: bodyOf(answer.body), redacted: (await on.outcomeOf(answer))['redacted'] }
}

test('JSON and texts lose their secrets, and the outcome says how many', async () => {
  orders.answer = answering(
    'application/json; charset=utf-8',
    `{"a": ["${secret}"], "password":"Tr0ub4dor&3x", "n":1e3}`,
  )
  const json = await told()
  equal(json.body, '{"a": ["[redacted]"], "password":"[redacted]", "n":1e3}')
  equal(json.redacted, 2)
  orders.answer = answering('application/problem+json', `{"detail":"\\u0067hp_${secret.slice(4)}"}`)
  equal((await told()).body, '{"detail":"[redacted]"}')
  orders.answer = answering('text/plain', `caf\u00e9 ${secret} end`)
  const text = await told()
  equal(text.body, 'caf\u00e9 [redacted] end')
  equal(text.redacted, 1)
  orders.answer = answering('text/plain', 'nothing to hide')
  equal((await told()).redacted, undefined)
  bare.tap.answer = answering('text/plain', secret)
  const svid = await bare.gateway.trust.issue('agent/all', { roles: ['all'] })
  equal((await told(bare, svid)).body, secret)
})

test('a secret in two pieces is found, and the lines of a stream pass as they come', async () => {
  const next = Promise.withResolvers<void>()
  orders.answer = (socket) => {
    socket.write(head('text/event-stream') + piece('data: one\n\n') + piece(`data: ${secret.slice(0, 9)}`))
    void next.promise.then(async () => {
      socket.write(piece(secret.slice(9, 20)))
      await sleep(20)
      socket.write(`${piece(`${secret.slice(20)} end\n\n`)}0\r\n\r\n`)
    })
  }
  const socket = await dial(stage.gateway.connection(all))
  const first = await talk(socket, await stage.text(all, '/http/orders/v1/events'), (soFar) =>
    soFar.includes('data: one\n\n'),
  )
  equal(first.includes('ghp'), false)
  next.resolve()
  const rest = await talk(socket, '', whole)
  socket.destroy()
  ok(rest.includes('data: [redacted] end\n\n'), rest)
  equal(rest.includes(secret.slice(9, 20)), false)
})

test('a key that is longer than anything that is held back passes in no part', async () => {
  const line = 'MHcCAQEEIBx0yMHcCAQEEIBx0yMHcCAQEEIBx0yMHcCAQEEIBx0yMHcCAQEEIBx0\n'
  orders.answer = (socket) => {
    socket.write(head('text/plain') + piece('before -----BEGIN RSA PRIVATE'))
    socket.write(piece(` KEY-----\n${line.repeat(100)}`))
    setTimeout(() => {
      socket.write(`${piece(`${line.repeat(100)}-----END RSA PRIV`)}${piece('ATE KEY----- after')}0\r\n\r\n`)
    }, 20)
  }
  equal((await told()).body, 'before [redacted] after')
})

test('images and files pass as they are', async () => {
  for (const type of ['image/png', 'application/octet-stream']) {
    orders.answer = answering(type, `\u0000\u00ff${secret}`)
    equal((await told()).body.includes(secret), true, type)
  }
})

test('headers that are listed lose theirs, and nobody is invited to ask for parts', async () => {
  orders.answer = answering('text/plain', 'x', `X-Next: /v1/x?key=${secret}\r\nAccept-Ranges: bytes\r\nX-Total: 3\r\n`)
  const answer = await stage.ask(all, '/http/orders/v1/x', { headers: { Range: 'bytes=0-9' } })
  equal(answer.headers['x-next'], '/v1/x?key=[redacted]')
  equal(answer.headers['x-total'], '3')
  equal(answer.headers['accept-ranges'], undefined)
  equal(/\r\nrange:/i.test(orders.requests.at(-1)?.head ?? ''), false)
})

const unreadable: readonly (readonly [why: string, answer: Tap['answer']])[] = [
  ['part', (socket) => void socket.write(head('text/plain', '', '206 Partial Content') + piece('x'))],
  ['encoding', answering('text/plain', secret, 'Content-Encoding: gzip\r\n')],
  ['character set', answering('text/plain; charset=utf-16le', secret)],
  ['json', answering('application/json', `{"a":"${secret}"`)],
  ['twice', answering('application/json', `{"a":1,"a":"${secret}"}`)],
  ['long', answering('application/json', `{"a":"${'x'.repeat(60_000)}"}`)],
]

test('what cannot be read does not pass', async () => {
  for (const [why, answer] of unreadable) {
    orders.answer = answer
    const refused = await stage.ask(all, '/http/orders/v1/x')
    equal(refused.headers['doorward-code'], 'upstream_invalid', why)
    equal(refused.status, 502, why)
    equal(refused.text.includes('ghp'), false, why)
    equal((await stage.outcomeOf(refused))['code'], 'upstream_invalid', why)
  }
  orders.answer = answering('text/plain', Buffer.from(secret, 'utf16le').toString('latin1'))
  const socket = await dial(stage.gateway.connection(all))
  const broken = parseAnswer(await talk(socket, await stage.text(all, '/http/orders/v1/x'), () => false))
  equal(broken.body.includes('g'), false)
  equal((await stage.outcomeOf(broken))['code'], 'upstream_invalid')
  orders.answer = (socket_) => void socket_.write(plain('fine'))
  equal((await told()).body, 'fine')
})
