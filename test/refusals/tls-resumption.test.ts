/** Sessions that are not resumed: what was agreed before a change of trust opens nothing after it (reference ids TR-1 … TR-4). */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:tls'
import type { ConnectionOptions, Server, TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseTrustDomain, workloadId } from '@doorward/core'
import { generateP256, systemClock } from '@doorward/sdk'
import { ConnectionPool } from '../../packages/sdk/src/connection-pool.ts'
import { exchange } from '../../packages/sdk/src/https-exchange.ts'
import { connectMutualTls } from '../../packages/sdk/src/mutual-tls.ts'
import { svidOf } from '../../packages/sdk/src/svid.ts'
import { selfSigned } from '../fixtures/authority/workload.ts'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { complete, dial, talk } from '../fixtures/raw-http.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'
import { openTap } from '../fixtures/tap.ts'
import { newAnchor, newLeaf, pemOf, TrustFixture } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let system: RunningSystem
let ours: ConnectionOptions

before(async () => {
  system = await startSystem()
  const identity = await system.open(await system.join('agent/resumer'))
  const { chain, privateKey } = identity.credentials.current()
  ours = {
    ca: identity.material().anchors.map(pemOf),
    cert: chain.map(pemOf).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
})
after(() => system.stop())

/**
 * One request with its answer, and what a client of TLS 1.3 could come back with: each ticket that came before the answer
 * or right behind it, and the session as it stands. Without a ticket key, OpenSSL still sends tickets; they name a session
 * that nobody keeps.
 */
async function visited(options: ConnectionOptions): Promise<readonly Buffer[]> {
  const socket = await dial({ ...options, session: undefined })
  const sessions: Buffer[] = []
  socket.on('session', (session: Buffer) => sessions.push(session))
  await talk(socket, `GET /livez HTTP/1.1\r\nHost: ${options.host}:${options.port}\r\n\r\n`, complete)
  await sleep(50)
  const whole = socket.getSession()
  socket.destroy()
  return whole === undefined ? sessions : [...sessions, whole]
}

function reused(socket: TLSSocket): boolean {
  const was = socket.isSessionReused()
  socket.destroy()
  return was
}

test('TR-3: no listener takes a session up again, whatever came with it', async () => {
  const { authority, gateway } = system
  const key = await generateP256()
  const own = await selfSigned(key)
  const stranger = { cert: pemOf(own.certificate), key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }) }
  const places = [
    ...Object.entries(authority.running.addresses).map(([name, at]) => [`authority ${name}`, at] as const),
    ...Object.entries(gateway.addresses).map(([name, at]) => [`gateway ${name}`, at] as const),
  ]
  equal(places.length, 7)
  for (const [name, address] of places) {
    const options = { ...address, ...ours, ...(name === 'authority enrol' ? stranger : {}) }
    const sessions = await visited(options)
    ok(sessions.length > 0, name)
    for (const session of sessions) equal(reused(await dial({ ...options, session })), false, name)
  }
})

/** A gateway of the test's own trust domain, because the shortest certificate of a real authority lives five minutes. */
async function ownGateway(): Promise<{ readonly gateway: GatewayFixture; readonly close: () => Promise<void> }> {
  const tap = await openTap()
  const gateway = await GatewayFixture.open({ servers: { files: { url: tap.url } }, roles: { all: ['*'] } })
  return {
    gateway,
    close: async () => {
      await gateway.close()
      await tap.close()
    },
  }
}

test('TR-1: a session opens nothing after the certificate that began it has ended', { timeout: 20_000 }, async () => {
  const { gateway, close } = await ownGateway()
  const brief = await gateway.trust.issue('agent/brief', { roles: ['all'], secondsLeft: 3 })
  const options = gateway.connection(brief)
  const sessions = await visited(options)
  // OpenSSL reads the kernel's coarse clock, which is behind by up to a tick.
  while (Date.now() < brief.certificate.notAfter * 1000 + 20) await sleep(50)
  for (const session of sessions) equal(await answered({ ...options, session }), '')
  while (!gateway.refused.some(({ reason }) => reason === 'certificate_expired')) await sleep(10)
  await close()
})

test('TR-1: a session opens nothing after the anchor that vouched for it is gone, and its certificate nothing', async () => {
  const { gateway, close } = await ownGateway()
  const caller = await gateway.trust.issue('agent/caller', { roles: ['all'] })
  const options = gateway.connection(caller)
  const sessions = await visited(options)
  const other = await TrustFixture.create('test.example')
  gateway.listener.update(other.tlsMaterial(await other.issue('doorward/gateway/main')))
  for (const session of sessions) equal(await answered({ ...options, ca: other.anchorsPem, session }), '')
  while (!gateway.refused.some(({ reason }) => reason === 'certificate_untrusted')) await sleep(10)
  await close()
})

/** What comes back; nothing where the handshake or the connection ends. */
async function answered(options: ConnectionOptions): Promise<string> {
  try {
    const socket = await dial(options)
    const text = await talk(socket, `GET /livez HTTP/1.1\r\nHost: ${options.host}:${options.port}\r\n\r\n`, complete)
    equal(reused(socket), false)
    return text
  } catch {
    return ''
  }
}

/** A server that gives tickets to whoever comes, as servers do that are not ours. */
async function generous(server: TestSvid, ca: readonly string[]): Promise<Server> {
  const listening = createServer({ ...server.pem, ca: [...ca], requestCert: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => socket.write('HTTP/1.1 204 No Content\r\n\r\n'))
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return listening
}

test('TR-2: a client judges the server on every connection, also one that offers to resume', async () => {
  const trust = await TrustFixture.create('test.example')
  const server = await generous(await trust.issue('doorward/gateway/main'), trust.anchorsPem)
  const { port } = server.address() as AddressInfo
  const caller = await trust.issue('agent/caller')
  const svid = svidOf(caller.chain, caller.privateKey, trust.trustDomain)
  const place = { host: '127.0.0.1', port, ca: [...trust.anchorsPem], ...caller.pem }
  // It is generous: whoever asks for it resumes.
  const first = await dial(place)
  const ticket = once(first, 'session')
  first.write('GET / HTTP/1.1\r\n\r\n')
  const [session] = (await ticket) as [Buffer]
  first.destroy()
  equal(reused(await dial({ ...place, session })), true)

  let judged = 0
  const anchors = [trust.anchor.der]
  for (let round = 0; round < 3; round++) {
    const judge = async () => (++judged, null)
    const { socket } = await connectMutualTls({ host: '127.0.0.1', port, svid, anchors, judge })
    socket.write('GET / HTTP/1.1\r\n\r\n')
    await once(socket, 'data')
    equal(reused(socket), false)
  }
  equal(judged, 3)
  const refusing = async () => ({ code: 'server_revoked', message: 'denied meanwhile' })
  await rejects(connectMutualTls({ host: '127.0.0.1', port, svid, anchors, judge: refusing }), {
    code: 'server_revoked',
  })
  server.close()
})

test('TR-4: a handshake that the server refuses afterwards looks complete to its client, and counts for nothing', async () => {
  const { gateway, close } = await ownGateway()
  const domain = parseTrustDomain('test.example')
  const foreign = await newLeaf(await newAnchor(domain), workloadId(domain, 'agent', 'foreign'))
  const options = { ...gateway.connection(foreign), ca: gateway.trust.anchorsPem }
  const socket = await dial(options)
  ok(socket.authorized)
  equal(await talk(socket, 'GET /livez HTTP/1.1\r\n\r\n', complete), '')

  const pool = new ConnectionPool({ anchors: () => [gateway.trust.anchor.der], judge: async () => null }, systemClock)
  const target = { host: '127.0.0.1', port: gateway.port, expected: workloadId(domain, 'doorward', 'gateway', 'main') }
  const svid = svidOf(foreign.chain, foreign.privateKey, domain)
  const url = new URL(`https://127.0.0.1:${gateway.port}/livez`)
  const failure = await exchange(pool.agent(target, svid), url, { method: 'GET', headers: {} }).then(
    () => 'answered',
    (error: unknown) => (error as { readonly code?: string }).code,
  )
  deepEqual(['connection_refused', 'connection_lost'].includes(failure ?? ''), true, failure)
  pool.close()
  await close()
})
