/** Connections that must not be. Each shows first that the right one is let in. */

import { deepEqual, equal, match, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { defaultListenerLimits } from '../../packages/enforcement/src/wire/listener.ts'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { closed, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { newAnchor, newLeaf } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid

before(async () => {
  server = await scriptedServer((_reached, response) => response.writeHead(500).end())
  gateway = await GatewayFixture.open({ servers: { files: { url: server.url } }, roles: { all: ['*'] } })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
})

after(async () => {
  await gateway.close()
  await server.close()
})

/** A request on a new connection: the status, or the reason for which the gateway refused the handshake. */
async function attempt(options: ConnectionOptions, who: 'agent' | 'anonymous' = 'agent'): Promise<string> {
  const before = gateway.refused.length
  const reached = server.reached.length
  const { key, cert, ...anonymous } = gateway.connection(agent)
  const identity = who === 'agent' ? { key, cert } : {}
  const socket = await dial({ ...anonymous, ...identity, ...options }).catch(() => null)
  const body =
    '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}'
  const answer =
    socket === null ? null : parseAnswer(await talk(socket, await gateway.request(agent, 'files', { body })))
  socket?.destroy()
  if (answer !== null && answer.status > 0) return String(answer.status)
  while (gateway.refused.length === before) await new Promise((resolve) => setTimeout(resolve, 5))
  equal(server.reached.length, reached)
  equal(gateway.refused[before]?.remoteAddress, '127.0.0.1')
  return gateway.refused[before]?.reason ?? 'none'
}

test('a certificate of the trust domain is let in', async () => equal(await attempt({}), '200'))

test('without a certificate there is no connection', async () => {
  equal(await attempt({}, 'anonymous'), 'certificate_missing')
})

test('a certificate of another authority of the same name is refused', async () => {
  const stranger = await newLeaf(await newAnchor(gateway.trust.trustDomain), agent.id)
  equal(await attempt(stranger.pem), 'certificate_untrusted')
})

test('an expired certificate is refused', async () => {
  const expired = await newLeaf(gateway.trust.anchor, agent.id, { startsIn: -600, secondsLeft: -1 })
  equal(await attempt(expired.pem), 'certificate_expired')
})

test('a certificate that is not valid yet is refused', async () => {
  const early = await newLeaf(gateway.trust.anchor, agent.id, { startsIn: 600 })
  equal(await attempt(early.pem), 'certificate_not_yet_valid')
})

test('TLS 1.2 is refused', async () =>
  equal(await attempt({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }), 'tls_version'))

test('each configured suite is served and any other is refused', async () => {
  equal(await attempt({ ciphers: 'TLS_AES_256_GCM_SHA384' }), '200')
  equal(await attempt({ ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }), '200')
  equal(await attempt({ ciphers: 'TLS_AES_128_GCM_SHA256' }), 'tls_cipher')
})

test('finite-field and other groups are refused, the hybrid one is served', async () => {
  equal(await attempt({ ecdhCurve: 'X25519MLKEM768' }), '200')
  equal(await attempt({ ecdhCurve: 'ffdhe2048' }), 'tls_group')
  equal(await attempt({ ecdhCurve: 'P-521' }), 'tls_group')
})

test('another application protocol is refused', async () =>
  equal(await attempt({ ALPNProtocols: ['h2'] }), 'tls_protocol'))

test('the material that replaces another keeps every other option', async () => {
  gateway.listener.update(gateway.trust.tlsMaterial(await gateway.trust.issue('doorward/gateway/main')))
  equal(await attempt({}), '200')
  equal(await attempt({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }), 'tls_version')
  equal(await attempt({ ciphers: 'TLS_AES_128_GCM_SHA256' }), 'tls_cipher')
  equal(await attempt({ ecdhCurve: 'ffdhe2048' }), 'tls_group')
  equal(await attempt({}, 'anonymous'), 'certificate_missing')
})

test('plain HTTP gets no HTTP answer', async () => {
  const socket = connectTcp(gateway.port, '127.0.0.1')
  let got = ''
  socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await closed(socket)
  equal(got.includes('HTTP/'), false)
  equal(gateway.refused.at(-1)?.reason, 'tls_plaintext')
})

test('a session that is offered for resumption is not resumed', async () => {
  let session: Buffer | undefined
  const first = await dial(gateway.connection(agent))
  first.on('session', (offered: Buffer) => (session = offered))
  await talk(first, await gateway.request(agent, 'files', { method: 'GET' }))
  session ??= first.getSession()
  first.destroy()
  const second = await dial({ ...gateway.connection(agent), ...(session === undefined ? {} : { session }) })
  equal(second.isSessionReused(), false)
  second.destroy()
})

test('a connection ends with its certificate', async () => {
  const brief = await gateway.trust.issue('agent/brief', { roles: ['all'], secondsLeft: 2 })
  const socket = await dial(gateway.connection(brief))
  equal(parseAnswer(await talk(socket, await gateway.request(brief, 'files', { method: 'PUT' }))).status, 405)
  socket.destroy()
  const kept = await dial(gateway.connection(brief))
  await closed(kept)
  equal(brief.certificate.notAfter <= Math.ceil(Date.now() / 1000), true)
})

test('a handshake that never comes is ended', async () => {
  const impatient = await GatewayFixture.open({
    listener: { limits: { ...defaultListenerLimits, handshakeMilliseconds: 50 } },
  })
  const socket = connectTcp(impatient.port, '127.0.0.1')
  socket.on('error', () => undefined)
  await closed(socket)
  equal(impatient.refused[0]?.reason, 'tls_timeout')
  equal(defaultListenerLimits.handshakeMilliseconds, 5000)
  await impatient.close()
})

test('connections of one address are counted and limited before the handshake', async () => {
  const limited = await GatewayFixture.open({
    listener: { limits: { ...defaultListenerLimits, connectionsPerAddress: 3 } },
  })
  const caller = await limited.trust.issue('agent/a')
  const open: TLSSocket[] = []
  for (let i = 0; i < 3; i++) open.push(await dial(limited.connection(caller)))
  await rejects(dial(limited.connection(caller)))
  equal(limited.refused[0]?.reason, 'connection_limit_address')
  const [one] = open
  one?.destroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  open.push(await dial(limited.connection(caller)))
  for (const socket of open) socket.destroy()
  await limited.close()
})

test('handshakes of one address are limited by rate', async () => {
  const handshakes = { count: 1, periodSeconds: 60, burst: 5 }
  const limited = await GatewayFixture.open({ listener: { limits: { ...defaultListenerLimits, handshakes } } })
  const caller = await limited.trust.issue('agent/a')
  for (let i = 0; i < 5; i++) (await dial(limited.connection(caller))).destroy()
  await rejects(dial(limited.connection(caller)))
  equal(limited.refused.filter(({ reason }) => reason === 'handshake_rate').length, 1)
  await limited.close()
})

test('a port that is taken is told as such', async () => {
  await rejects(GatewayFixture.open({ listener: { port: gateway.port } }), { code: 'port_in_use' })
  await rejects(GatewayFixture.open({ listener: { host: '192.0.2.1' } }), { code: 'address_unavailable' })
})

test('garbage on a connection is answered with the configured headers and closes it', async () => {
  const socket = await dial(gateway.connection(agent))
  const answer = parseAnswer(await talk(socket, 'GARBAGE\r\n\r\n'))
  equal(answer.status, 400)
  deepEqual(
    [answer.headers['x-content-type-options'], answer.headers['x-frame-options'], answer.headers['x-xss-protection']],
    ['nosniff', 'DENY', '1; mode=block'],
  )
  match(answer.headers['strict-transport-security'] ?? '', /max-age=31536000/)
  equal(answer.headers['connection'], 'close')
  equal(gateway.refused.at(-1)?.reason, 'request_malformed')
})

test('headers above the size limit are refused', async () => {
  const socket = await dial(gateway.connection(agent))
  const answer = parseAnswer(
    await talk(socket, `GET / HTTP/1.1\r\nHost: ${gateway.host}\r\nX: ${'a'.repeat(17_000)}\r\n\r\n`),
  )
  equal(answer.status, 431)
  equal(gateway.refused.at(-1)?.reason, 'header_limit')
})

test('two thousand small headers are refused and nothing of them is read', async () => {
  const socket = await dial(gateway.connection(agent))
  const lines = Array.from({ length: 2100 }, (_, i) => `a${i}: 1\r\n`).join('')
  equal(parseAnswer(await talk(socket, `GET / HTTP/1.1\r\nHost: ${gateway.host}\r\n${lines}\r\n`)).status, 431)
})

test('a client that only listens for the handshake learns of the refusal by an alert', async () => {
  const socket = connect({
    host: '127.0.0.1',
    port: gateway.port,
    ca: gateway.trust.anchorsPem,
    checkServerIdentity: () => undefined,
  })
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  equal(error.code, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')
})
