/** A TLS context that many connections share insists on what each insisted on by itself. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { createServer } from 'node:tls'
import type { Server, TlsOptions, TLSSocket } from 'node:tls'
import { isDoorwardError } from '@doorward/core'
import { connectMutualTls, systemClock } from '@doorward/sdk'
import { ClientContexts, clientContext } from '../../../packages/sdk/src/client-context.ts'
import { ConnectionPool } from '../../../packages/sdk/src/connection-pool.ts'
import { exchange } from '../../../packages/sdk/src/https-exchange.ts'
import { svidOf } from '../../../packages/sdk/src/svid.ts'
import { newAnchor, newLeaf, pemOf, TrustFixture } from '../../fixtures/trust-fixture.ts'
import type { TestAnchor, TestSvid } from '../../fixtures/trust-fixture.ts'

const fixture = await TrustFixture.create()
const { anchor, trustDomain } = fixture
const other = await newAnchor(trustDomain)
const gateway = fixture.id('doorward', 'gateway', 'main')
const caller = await newLeaf(anchor, fixture.id('agent', 'one'))
const contexts = new ClientContexts()

const closing: Server[] = []
after(() => closing.forEach((server) => server.close()))

/** A server under the anchor that answers the fingerprint of its caller, with everything that servers may allow. */
async function serve(options: TlsOptions = {}, by: TestAnchor = anchor): Promise<number> {
  const own = await newLeaf(by, gateway)
  const ca = [anchor, other].map(({ der }) => pemOf(der))
  const server = createServer({ ...own.pem, ca, requestCert: true, ...options }, (socket) => {
    socket.on('error', () => undefined)
    const caller = socket.getPeerX509Certificate()?.fingerprint256
    socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${caller}`))
  })
  server.on('tlsClientError', () => undefined)
  closing.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

interface Dialling {
  readonly svid?: TestSvid
  readonly anchors?: readonly Uint8Array[]
}

async function dial(port: number, { svid = caller, anchors = [anchor.der] }: Dialling = {}): Promise<TLSSocket> {
  const { socket } = await connectMutualTls({
    host: '127.0.0.1',
    port,
    svid,
    anchors,
    contexts,
    judge: async () => null,
  })
  return socket
}

async function codeOf(connecting: Promise<TLSSocket>): Promise<string> {
  try {
    ;(await connecting).destroy()
    return 'connected'
  } catch (error) {
    return isDoorwardError(error) ? error.code : String(error)
  }
}

async function heard(socket: TLSSocket): Promise<string> {
  let text = ''
  socket.write('GET / HTTP/1.1\r\n\r\n')
  for await (const part of socket.setEncoding('utf8')) text += String(part)
  return text.slice(text.indexOf('\r\n\r\n') + 4)
}

test('one context serves until certificate or anchors change, and then is not used', async () => {
  const held = new ClientContexts()
  const of = (svid: TestSvid, ...anchors: readonly TestAnchor[]) =>
    held.of(
      svid,
      anchors.map(({ der }) => der.slice()),
    )
  const first = of(caller, anchor)
  assert.equal(of({ ...caller, chain: caller.chain.map((der) => der.slice()) }, anchor), first)
  const renewed = await newLeaf(anchor, caller.id)
  const others = [of(renewed, anchor), of(caller, other), of(caller, anchor, other), of(caller, other, anchor)]
  assert.equal(new Set([first, ...others]).size, 5)
  held.clear()
  assert.notEqual(of(caller, anchor), first)
})

test('two contexts are kept: the newest', () => {
  const held = new ClientContexts()
  const of = (...anchors: readonly TestAnchor[]) =>
    held.of(
      caller,
      anchors.map(({ der }) => der),
    )
  const [first, second] = [of(anchor), of(other)]
  assert.deepEqual([of(anchor) === first, of(other) === second, of(anchor) === first], [true, true, true])
  of(anchor, other)
  assert.deepEqual([of(anchor) === first, of(other) === second], [true, false])
})

test('a list that is changed afterwards changes nothing of what was made of it', () => {
  const held = new ClientContexts()
  const anchors: Uint8Array[] = [anchor.der.slice()]
  const first = held.of(caller, anchors)
  anchors[0]!.set(other.der.subarray(0, anchors[0]!.length))
  anchors.push(other.der)
  assert.equal(held.of(caller, [anchor.der]), first)
})

test('without anchors there is no context, for the one that Node.js makes then trusts the roots of the system', async () => {
  assert.throws(() => clientContext(caller, []), { code: 'server_untrusted' })
  assert.equal(await codeOf(dial(await serve(), { anchors: [] })), 'server_untrusted')
})

test('TLS 1.3, its two suites and the named groups: a server that has none of them gets no connection', async () => {
  const open: readonly TlsOptions[] = [
    {},
    { ciphers: 'TLS_AES_256_GCM_SHA384' },
    { ciphers: 'TLS_CHACHA20_POLY1305_SHA256' },
    { ecdhCurve: 'X25519MLKEM768' },
    { ecdhCurve: 'X25519' },
    { ecdhCurve: 'P-256' },
  ]
  const shut: readonly TlsOptions[] = [
    { maxVersion: 'TLSv1.2' },
    { ciphers: 'TLS_AES_128_GCM_SHA256' },
    { ecdhCurve: 'P-384' },
    { ecdhCurve: 'P-521:X448:ffdhe2048' },
  ]
  // Twice, because the second connection is by the context of the first.
  for (let round = 0; round < 2; round++) {
    for (const options of open)
      assert.equal(await codeOf(dial(await serve(options))), 'connected', JSON.stringify(options))
    for (const options of shut)
      assert.notEqual(await codeOf(dial(await serve(options))), 'connected', JSON.stringify(options))
  }
})

test('no session is taken up, though the context is the same one and the server would', async () => {
  const port = await serve()
  for (let round = 0; round < 3; round++) {
    const socket = await dial(port)
    assert.equal(socket.isSessionReused(), false)
    assert.equal(socket.authorized, true)
    assert.equal(await heard(socket), certificateHash(caller))
  }
})

test('a server of an anchor that left is refused in the handshake, on the next connection', async () => {
  const [old, next] = [await serve(), await serve({}, other)]
  assert.equal(await codeOf(dial(old)), 'connected')
  assert.equal(await codeOf(dial(next)), 'server_untrusted')
  const both = [anchor.der, other.der]
  assert.deepEqual(
    [await codeOf(dial(old, { anchors: both })), await codeOf(dial(next, { anchors: both }))],
    ['connected', 'connected'],
  )
  assert.equal(await codeOf(dial(old, { anchors: [other.der] })), 'server_untrusted')
  assert.equal(await codeOf(dial(next, { anchors: [other.der] })), 'connected')
})

test('what a renewal brought is what is presented from then on', async () => {
  const port = await serve()
  const renewed = await newLeaf(anchor, caller.id)
  for (const svid of [caller, renewed, caller])
    assert.equal(await heard(await dial(port, { svid })), certificateHash(svid))
})

test('the socket that is handed out is as Node.js makes it', async () => {
  const socket = await dial(await serve())
  socket.destroy()
  assert.equal(Object.hasOwn(socket, 'getPeerCertificate'), false)
})

test('a pool connects by the anchors of now', async () => {
  let anchors: readonly Uint8Array[] = [anchor.der]
  const pool = new ConnectionPool({ anchors: () => anchors, judge: async () => null }, systemClock)
  const port = await serve()
  const svid = svidOf(caller.chain, caller.privateKey, trustDomain)
  const url = new URL(`https://127.0.0.1:${port}/`)
  const call = async () => {
    const agent = pool.agent({ host: '127.0.0.1', port, expected: gateway }, svid)
    const { body, status } = await exchange(agent, url, { method: 'GET', headers: {} })
    body.resume()
    return status
  }
  assert.deepEqual([await call(), await call()], [200, 200])
  anchors = [other.der]
  await assert.rejects(call(), { code: 'server_untrusted' })
  anchors = [other.der, anchor.der]
  assert.equal(await call(), 200)
  pool.close()
})

test('a pool that is closed asks no busy server again', async () => {
  let taken = 0
  const busy = createTcpServer((socket) => {
    taken++
    socket.resetAndDestroy()
    pool.close()
  }).listen(0, '127.0.0.1')
  await once(busy, 'listening')
  const pool = new ConnectionPool({ anchors: () => [anchor.der], judge: async () => null }, systemClock)
  const { port } = busy.address() as AddressInfo
  const svid = svidOf(caller.chain, caller.privateKey, trustDomain)
  const agent = pool.agent({ host: '127.0.0.1', port, expected: gateway }, svid)
  const url = new URL(`https://127.0.0.1:${port}/`)
  await assert.rejects(exchange(agent, url, { method: 'GET', headers: {} }), { code: 'connection_lost' })
  assert.equal(taken, 1)
  busy.close()
})

/** SHA-256 as Node.js writes it. */
function certificateHash({ certificate: { fingerprint } }: TestSvid): string {
  return Buffer.from(fingerprint, 'base64url')
    .toString('hex')
    .toUpperCase()
    .replaceAll(/(..)(?!$)/g, '$1:')
}
