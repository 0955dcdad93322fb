/** `security.headers`: each stands once and with its value on every answer, whoever writes it and whatever it says. */

import { equal, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { buildCertificate, epochSeconds, newSerial, selfSignedForKey } from '@doorward/core'
import { generateP256, randomBytes } from '@doorward/sdk'
import type { Address } from '../../packages/server/src/config/settings.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { now, pemOf } from '../fixtures/trust-fixture.ts'
import { callOf, headOnly, messageOf, Stage } from './stage.ts'
import type { Attempt, Caller, Dial } from './stage.ts'

/** As ADR-0011 prints them, and one of the operator's own. */
const expected = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'X-XSS-Protection': '1; mode=block',
  'Strict-Transport-Security': 'max-age=31536000',
  'X-Operator': 'acme',
}

const yaml = `security:
  headers: { X-Operator: acme }
  rate_limiting: { global: 1000000/min, per_ip: 1000000/min, per_user: 1000000/min }
limits:
  quotas: [{ action: prompts/get, per_user: 1/h }]
  body_bytes: 4096
  handshakes_per_ip: 1000000/min
`

let stage: Stage
let agent: Caller
/** A head that never ends is given up after seconds, so it begins first. */
let slow: Promise<RawAnswer>

before(async () => {
  stage = await Stage.open({ yaml, more: '  gone: { url: "http://127.0.0.1:9/mcp", insecure_upstream: true }\n' })
  agent = await stage.caller('agent/planner', ['user'])
  slow = raw(agent.tls, 'POST /mcp/files HTTP/1.1\r\nHost: ')
})
after(() => stage.close())

function check(answer: RawAnswer | null, status: number): void {
  ok(answer !== null, 'there was no answer')
  equal(answer.status, status, answer.text)
  const head = answer.text.slice(0, answer.text.indexOf('\r\n\r\n'))
  for (const [name, value] of Object.entries(expected)) {
    const lines = head.split('\r\n').filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
    equal(lines.join(' | '), `${name}: ${value}`)
  }
}

async function raw(connection: Dial, text: string): Promise<RawAnswer> {
  const socket = await dial(connection)
  const answer = parseAnswer(await talk(socket, text))
  socket.destroy()
  return answer
}

const GET = 'GET'
const notification = () => '{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}'
const lines = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-${i}`, '1']))

const answers: readonly (readonly [name: string, status: number, attempt: () => Omit<Attempt, 'caller'>])[] = [
  ['an allowed call', 200, () => ({})],
  ['an event stream that answers a call', 200, () => ({ body: callOf('stream_note') })],
  ['the event stream of a session', 200, () => ({ method: GET, until: headOnly })],
  ['a notification', 202, () => ({ body: notification })],
  ['a call that policy denies', 200, () => ({ body: callOf('drop_notes') })],
  ['a body that is not JSON', 400, () => ({ body: () => '{' })],
  ['a request without token', 401, () => ({ token: null })],
  ['a request with a broken token', 401, () => ({ token: 'x' })],
  ['an unknown Origin', 403, () => ({ headers: { Origin: 'null' } })],
  ['an unknown path', 404, () => ({ target: '/' })],
  ['an unknown session', 404, () => ({ headers: { 'Mcp-Session-Id': 'A'.repeat(22) } })],
  ['another HTTP method', 405, () => ({ method: 'PUT' })],
  ['an Accept header without event streams', 406, () => ({ headers: { Accept: 'application/json' } })],
  ['a body above the limit', 413, () => ({ body: () => ' '.repeat(4097) })],
  ['another content type', 415, () => ({ headers: { 'Content-Type': 'text/plain' } })],
  ['an expectation', 417, () => ({ headers: { Expect: 'x' } })],
  ['an unknown Host', 421, () => ({ headers: { Host: 'evil.example' } })],
  ['a caller above its quota', 429, () => ({ body: messageOf('prompts/get', { name: 'hello' }) })],
  ['too many headers', 431, () => ({ headers: lines(65) })],
  ['too many bytes of headers', 431, () => ({ headers: { 'X-Long': 'x'.repeat(17_000) } })],
  ['a malformed request line', 400, () => ({ bytes: () => 'NONSENSE\r\n\r\n' })],
  ['a malformed header', 400, () => ({ bytes: (text) => text.replace('Accept:', 'Acc ept:') })],
  ['a plain HTTP/1.0 request', 505, () => ({ bytes: (text) => text.replace('HTTP/1.1', 'HTTP/1.0') })],
  ['CONNECT', 405, () => ({ bytes: () => 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n' })],
  ['an upgrade', 400, () => ({ headers: { Connection: 'Upgrade', Upgrade: 'websocket' } })],
  ['the end of a session', 200, () => ({ method: 'DELETE' })],
]

describe('the headers stand on the answer of the gateway to', () => {
  for (const [name, status, attempt] of answers) {
    test(name, async () => {
      // The first of the quota is allowed.
      if (status === 429) check(await stage.send({ caller: agent, ...attempt() }), 200)
      check(await stage.send({ caller: agent, ...attempt() }), status)
    })
  }

  test('a call whose server cannot be reached', async () => {
    const token = await stage.token(agent, stage.audience('gone'))
    const there = { caller: agent, target: '/mcp/gone', token, headers: { 'Mcp-Session-Id': null } }
    check(await stage.send({ ...there, body: messageOf('initialize', initialize) }), 502)
  })
})

const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '1' } }

describe('the headers stand on the answers of every other listener', () => {
  const to = (address: Address, path: string, more = '') =>
    `GET ${path} HTTP/1.1\r\nHost: ${address.host}:${address.port}\r\n${more}\r\n`
  const bearer = async (audience: string) =>
    `Authorization: Bearer ${(await stage.operator.token(audience)).reveal()}\r\n`

  test('the admin listeners and the main one of the authority', async () => {
    const { gateway, authority } = stage.deployment
    for (const [address, path, audience] of [
      [gateway.listeners.admin, '/v1/status', `${gateway.publicUrl}/admin`],
      [gateway.listeners.admin, '/v1/record', `${gateway.publicUrl}/admin`],
      [authority.listeners.admin, '/v1/workloads', authority.publicUrl],
      [authority.listeners.main, '/v1/trust-state', authority.publicUrl],
    ] as const) {
      const tls = stage.tlsOf(stage.operator, address)
      const token = await bearer(audience)
      const socket = await dial(tls)
      check(parseAnswer(await talk(socket, to(address, path, token), headOnly)), 200)
      socket.destroy()
      check(await raw(tls, to(address, path)), 401)
      check(await raw(tls, to(address, '/v1/nothing', token)), 404)
      check(await raw(tls, 'NONSENSE\r\n\r\n'), 400)
      check(await raw(tls, to(address, path, `X-Long: ${'x'.repeat(17_000)}\r\n`)), 431)
    }
  })

  test('the public listeners', async () => {
    const { gateway, authority } = stage.deployment
    const { ca } = agent.tls
    for (const address of [gateway.listeners.public, authority.listeners.public]) {
      const tls: Dial = { ...address, ...(ca === undefined ? {} : { ca }) }
      check(await raw(tls, to(address, '/livez')), 200)
      check(await raw(tls, to(address, '/readyz')), 200)
      check(await raw(tls, to(address, '/v1/status')), 404)
      check(await raw(tls, 'NONSENSE\r\n\r\n'), 400)
    }
    const address = authority.listeners.public
    check(await raw({ ...address, ...(ca === undefined ? {} : { ca }) }, to(address, '/v1/trust-bundle')), 200)
  })

  test('the enrolment listener', async () => {
    const address = stage.deployment.authority.listeners.enrol
    const key = await generateP256()
    const validity = { notBefore: epochSeconds(now() - 60), notAfter: epochSeconds(now() + 600) }
    const template = selfSignedForKey({ publicKey: key.spki, serial: newSerial(randomBytes), ...validity })
    const tls: Dial = {
      ...address,
      rejectUnauthorized: false,
      cert: pemOf(await buildCertificate(template, key.signKey)),
      key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }
    const hello = to(address, '/v1/enrol', 'Content-Type: application/json\r\nContent-Length: 11\r\n')
    check(await raw(tls, `${hello.replace('GET', 'POST')}{"hello":1}`), 200)
    check(await raw(tls, `${hello.replace('GET', 'POST')}{"hello":2}`), 400)
    check(await raw(tls, to(address, '/v1/enrol')), 405)
    check(await raw(tls, to(address, '/v1/status')), 404)
    check(await raw(tls, 'NONSENSE\r\n\r\n'), 400)
  })
})

test('the headers stand on the answer to a head that does not come in time', async () => check(await slow, 408))
