/**
 * `listeners.proxies`: from a named address, a connection begins with a PROXY header of version 2, whose source then counts
 * for limits, record and policy. Without one, or with anything else, it is closed, as is a header from everybody else; each
 * is counted on the record, and nothing reaches the server.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { namedProxies } from '../../packages/server/src/config/settings.ts'
import { defaultListenerLimits } from '../../packages/enforcement/src/wire/listener.ts'
import { addressKey } from '../../packages/enforcement/src/wire/remote-address.ts'
import { answered, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { canBind } from '../fixtures/loopback.ts'
import { proxyHeader } from '../fixtures/proxy-header.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const { main: isProxy, admin } = namedProxies(
  parseConfiguration(
    'trust_domain: a.example\nlisteners: { proxies: { main: [127.0.0.1/32, 10.0.0.0/8] } }\n',
    'doorward.yaml',
  ),
)
const perIp = (address: string) => ({ count: address === '192.0.2.66' ? 2 : 100_000, periodSeconds: 60 })
let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
let session = ''

before(async () => {
  server = await scriptedServer(({ body }, response) => json(response, body.replace('"method":"ping"', '"result":{}')))
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url } },
    roles: { all: ['*'] },
    pipeline: { connectionLimits: { global: perIp(''), perIp, ipKey: addressKey } },
    listener: {
      isProxy,
      limits: { ...defaultListenerLimits, handshakeMilliseconds: 300, connectionsPerAddress: 2, pendingHandshakes: 4 },
    },
  })
  agent = await gateway.trust.issue('agent/a', { roles: ['all'] })
  const on = await through(proxyHeader({ source: '192.0.2.1' }))
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  session =
    parseAnswer(await talk(on, await gateway.request(agent, 'files', { body }), answered)).headers['mcp-session-id'] ??
    ''
  on.destroy()
})
after(async () => {
  await gateway.close()
  await server.close()
})

async function tcp(localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port: gateway.port, localAddress })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** TLS on a connection that has begun with these bytes, in as many pieces. */
async function through(...pieces: readonly Uint8Array[]): Promise<TLSSocket> {
  const socket = await tcp()
  for (const piece of pieces) {
    socket.write(piece)
    if (pieces.length > 1) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return secure(socket)
}

async function secure(socket: Socket): Promise<TLSSocket> {
  const { ca, cert, key } = gateway.connection(agent)
  const tls = connect({ socket, ca, cert, key, minVersion: 'TLSv1.3', checkServerIdentity: () => undefined })
  tls.on('error', () => undefined)
  await Promise.race([
    once(tls, 'secureConnect'),
    once(tls, 'close').then(() => {
      throw new Error('closed')
    }),
  ])
  return tls
}

async function call(on: TLSSocket) {
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
  return parseAnswer(await talk(on, await gateway.request(agent, 'files', { session, body }), answered))
}

/** Closed without a byte, told and with nothing at the server; what it is counted as. */
async function closes(bytes: Uint8Array, localAddress = '127.0.0.1'): Promise<string | undefined> {
  const [before, reached] = [gateway.refused.length, server.reached.length]
  const socket = await tcp(localAddress)
  const closed = once(socket.resume(), 'close')
  socket.write(bytes)
  await closed
  equal(socket.bytesRead <= 7, true, 'more than an alert was answered')
  equal(server.reached.length, reached)
  equal(gateway.refused.length, before + 1)
  return gateway.refused.at(-1)?.reason
}

test('the address of the header is that of the connection: in the record, and for the limits', async () => {
  for (const source of ['192.0.2.7', '2001:db8::7']) {
    const on = await through(proxyHeader({ source }))
    equal((await call(on)).status, 200)
    on.destroy()
    const entries = await gateway.entries()
    equal(entries.at(-1)?.body['remote'], source)
  }
  const limited = await through(proxyHeader({ source: '192.0.2.66' }))
  for (const status of [200, 200, 429]) equal((await call(limited)).status, status)
  limited.destroy()
  const own = await through(proxyHeader({ source: '192.0.2.66', command: 0x20 }))
  equal((await call(own)).status, 200)
  equal((await gateway.entries()).at(-1)?.body['remote'], '127.0.0.1')
  own.destroy()
})

test('connections count by the address of the header, and a refused one is told by it', async () => {
  const header = proxyHeader({ source: '192.0.2.9' })
  const open = [await through(header), await through(header)]
  ok((await through(header).catch(() => null)) === null)
  deepEqual(
    [gateway.refused.at(-1)?.reason, gateway.refused.at(-1)?.remoteAddress],
    ['connection_limit_address', '192.0.2.9'],
  )
  open.push(await through(proxyHeader({ source: '192.0.2.10' })))
  for (const socket of open) socket.destroy()
  const broken = await tcp()
  broken.write(Buffer.concat([proxyHeader({ source: '192.0.2.11' }), Buffer.from('GET / HTTP/1.1\r\n\r\n')]))
  await once(broken.resume(), 'close')
  deepEqual([gateway.refused.at(-1)?.reason, gateway.refused.at(-1)?.remoteAddress], ['tls_plaintext', '192.0.2.11'])
})

test('a header may come byte by byte, and together with the handshake', async () => {
  const header = proxyHeader({ source: '192.0.2.12', extensions: Buffer.from([4, 0, 1, 0]) })
  const slow = await through(...Array.from(header, (byte) => Buffer.from([byte])))
  equal((await call(slow)).status, 200)
  slow.destroy()
  // In one segment: what follows the header is the handshake's.
  const socket = await tcp()
  socket.cork()
  socket.write(header)
  const tls = secure(socket)
  setImmediate(() => socket.uncork())
  equal((await call(await tls)).status, 200)
  socket.destroy()
})

test('a named address without a right header is closed', async () => {
  const v2 = proxyHeader({ source: '192.0.2.7' })
  const wrong: readonly Uint8Array[] = [
    Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n'),
    Buffer.from([0x16, 3, 1, 2, 0, 1]),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    proxyHeader({ source: '192.0.2.7', command: 0x11 }),
    proxyHeader({ source: '192.0.2.7', family: 0 }),
    proxyHeader({ source: '192.0.2.7', family: 0x12 }),
    proxyHeader({ source: '192.0.2.7', extensions: Buffer.alloc(600) }),
    proxyHeader({ source: '192.0.2.7', extensions: Buffer.from([1, 0, 9]) }),
  ]
  for (const bytes of wrong) equal(await closes(bytes), 'proxy_header')
  equal(await closes(v2.subarray(0, 20)), 'proxy_header', 'it waits for ever')
  ok((await dial(gateway.connection(agent)).catch(() => null)) === null)
  equal(gateway.refused.at(-1)?.reason, 'proxy_header')
  const gone = await tcp()
  const { length } = gateway.refused
  gone.write(v2.subarray(0, 5))
  await new Promise((resolve) => setTimeout(resolve, 20))
  gone.destroy()
  while (gateway.refused.length === length) await new Promise((resolve) => setTimeout(resolve, 5))
  equal(gateway.refused.at(-1)?.reason, 'proxy_header')
})

test('connections that have not said whom they are from are limited, and give their places back', async () => {
  const silent = [await tcp(), await tcp(), await tcp(), await tcp()]
  equal(await closes(Buffer.from([0x0d])), 'handshake_limit')
  await Promise.all(silent.map((socket) => once(socket.resume(), 'close')))
  const on = await through(proxyHeader({ source: '192.0.2.13' }))
  equal((await call(on)).status, 200)
  on.destroy()
})

test('nobody else is believed', async (context) => {
  deepEqual([isProxy('10.1.2.3'), isProxy('192.0.2.1'), admin('127.0.0.1')], [true, false, false])
  if (!(await canBind('127.0.0.2'))) return context.skip('this machine has no loopback address but 127.0.0.1')
  equal(await closes(proxyHeader({ source: '192.0.2.7' }), '127.0.0.2'), 'tls_plaintext')
  const on = await dial({ ...gateway.connection(agent), localAddress: '127.0.0.2' } as Parameters<typeof dial>[0])
  equal((await call(on)).status, 200)
  on.destroy()
  equal((await gateway.entries()).at(-1)?.body['remote'], '127.0.0.2')
})
