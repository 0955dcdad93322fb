/**
 * `limits.connections_per_ip`: every listener lets one address have as many connections as it may, and closes the next one
 * before a byte of TLS is spoken; what was open goes on, and what closes makes room. Each refusal is counted on the record.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { Address } from '../../packages/server/src/config/settings.ts'
import { defaultListenerLimits } from '../../packages/enforcement/src/wire/listener.ts'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import type { GatewayFixtureOptions } from '../fixtures/gateway-fixture.ts'
import { closed, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { canBind } from '../fixtures/loopback.ts'
import { Stage } from './stage.ts'
import type { Caller, Dial, Log } from './stage.ts'

const most = { general: 4, network: 7, narrower: 2 }

const yaml = `security:
  rate_limiting: { global: 1000000/min, per_ip: 1000000/min, per_user: 1000000/min }
limits:
  networks:
    - { cidr: 127.0.0.1/32, per_ip: 1000000/min, connections_per_ip: 1000 }
    - { cidr: 127.0.6.0/24, per_ip: 1000000/min, connections_per_ip: ${most.network} }
    - { cidr: 127.0.6.9/32, per_ip: 1000000/min, connections_per_ip: ${most.narrower} }
    - { cidr: 127.0.7.0/24, per_ip: 1000000/min }
  connections_per_ip: ${most.general}
  handshakes_per_ip: 1000000/min
`
const REFUSAL = 'connection_limit_address'

let stage: Stage
let caller: Caller
/** Other addresses of loopback, from which one machine can call as several; Linux has them all. */
let addresses = true
/** Refused connections, by log and address. */
const refused: Record<Log, Record<string, number>> = { gateway: {}, authority: {} }

before(async () => {
  stage = await Stage.open({ yaml })
  addresses = await canBind('127.0.0.2')
  caller = await stage.caller('agent/many')
})
after(() => stage.close())

interface Place {
  readonly name: string
  readonly log: Log
  readonly address: Address
}

function places(): readonly Place[] {
  const { gateway, authority } = stage.deployment
  const named = (log: Log, listeners: Readonly<Record<string, Address>>) =>
    Object.entries(listeners).map(([name, address]) => ({ name: `${log} ${name}`, log, address }))
  return [...named('gateway', gateway.listeners), ...named('authority', authority.listeners)]
}

function placeOf(name: string): Place {
  const found = places().find((place) => place.name === name)
  ok(found !== undefined, name)
  return found
}

function needsAddresses(context: TestContext): boolean {
  if (!addresses) context.skip('this machine has no loopback address but 127.0.0.1')
  return addresses
}

/** One more connection of the address, with all that a caller has to show; null when it is refused, which is counted. */
async function open({ log, address }: Place, from: string): Promise<TLSSocket | null> {
  const options: Dial = { ...caller.tls, ...address, localAddress: from }
  const socket = await dial(options).catch(() => null)
  if (socket === null) counted(log, from)
  return socket
}

function counted(log: Log, from: string): void {
  refused[log][from] = (refused[log][from] ?? 0) + 1
  stage.count(log, REFUSAL)
}

async function openAll(place: Place, from: string, count: number): Promise<TLSSocket[]> {
  const sockets: TLSSocket[] = []
  while (sockets.length < count) {
    const socket = await open(place, from)
    ok(socket !== null, `${place.name}: connection ${sockets.length + 1} of ${count} from ${from}`)
    sockets.push(socket)
  }
  return sockets
}

/** The next connection is closed at once: whoever waits for the first byte sees none, and whoever speaks TLS gets no handshake. */
async function refusesNext(place: Place, from: string): Promise<void> {
  const plain = connect({ ...place.address, localAddress: from })
  plain.on('error', () => undefined).resume()
  await closed(plain)
  equal(plain.bytesRead, 0)
  counted(place.log, from)
  ok((await open(place, from)) === null, `${place.name} has let in one more`)
}

/** Whatever is asked, HTTP answers. */
async function answers(socket: TLSSocket): Promise<void> {
  const { host, port } = caller.tls
  const request = `GET /nowhere HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`
  ok(parseAnswer(await talk(socket, request)).status >= 400)
}

/** What was closed here is given back when the listener has seen it. */
async function opensAgain(place: Place, from: string): Promise<TLSSocket> {
  return stage.poll(async () => (await open(place, from)) ?? undefined, `room for ${from} at ${place.name}`)
}

test('limits.connections_per_ip: an address has as many as it may, which go on when the next is refused; one that closes makes room', async (context) => {
  if (!needsAddresses(context)) return
  const [place, from] = [placeOf('gateway main'), '127.0.5.1']
  const sockets = await openAll(place, from, most.general)
  for (const on of sockets) await stage.passes({ caller, on })
  const byte = stage.tap.bytes
  await refusesNext(place, from)
  equal(stage.tap.bytes, byte)
  for (const on of sockets) await stage.passes({ caller, on })
  await stage.passes({ caller, connect: { localAddress: '127.0.5.2' } })
  sockets.shift()?.destroy()
  sockets.push(await opensAgain(place, from))
  await refusesNext(place, from)
  for (const on of sockets) await stage.passes({ caller, on })
  for (const socket of sockets) socket.destroy()
  await stage.settle()
})

test('limits.connections_per_ip: of many that come at the same moment no more are let in', async (context) => {
  if (!needsAddresses(context)) return
  const [place, from] = [placeOf('gateway main'), '127.0.5.3']
  const came = await Promise.all(Array.from({ length: 5 * most.general }, () => open(place, from)))
  const sockets = came.filter((socket) => socket !== null)
  equal(sockets.length, most.general)
  for (const on of sockets) await stage.passes({ caller, on })
  for (const socket of sockets) socket.destroy()
})

test('limits.connections_per_ip: each listener of gateway and authority counts its own', async (context) => {
  if (!needsAddresses(context)) return
  const from = '127.0.5.4'
  const sockets: TLSSocket[] = []
  for (const place of places()) {
    const own = await openAll(place, from, most.general)
    await refusesNext(place, from)
    for (const socket of own) await answers(socket)
    sockets.push(...own)
  }
  equal(sockets.length, 7 * most.general)
  for (const socket of sockets) socket.destroy()
})

test('limits.networks: an address has the number of the narrowest named network, and the general one where that has none', async (context) => {
  if (!needsAddresses(context)) return
  const rows: readonly (readonly [from: string, count: number])[] = [
    ['127.0.6.1', most.network],
    ['127.0.6.2', most.network],
    ['127.0.6.9', most.narrower],
    ['127.0.7.1', most.general],
  ]
  for (const place of [placeOf('gateway main'), placeOf('authority main')]) {
    for (const [from, count] of rows) {
      const sockets = await openAll(place, from, count)
      await refusesNext(place, from)
      for (const socket of sockets) await answers(socket)
      for (const socket of sockets) socket.destroy()
    }
  }
})

test('the record counts each refused connection by its address, and no others', async () => {
  await stage.settle()
  for (const log of ['gateway', 'authority'] as const) {
    const sums: Record<string, number> = {}
    for (const { entry } of await stage.entries(log)) {
      const { reason, source, count } = entry.body
      if (entry.kind === 'refusals' && reason === REFUSAL)
        sums[String(source)] = (sums[String(source)] ?? 0) + Number(count)
    }
    deepEqual(sums, refused[log])
  }
})

/** A gateway whose unfinished handshakes are not ended by time. */
function patient(limits: Partial<typeof defaultListenerLimits>): Promise<GatewayFixture> {
  const plenty = { count: 10_000, periodSeconds: 1 }
  const listener: GatewayFixtureOptions['listener'] = {
    limits: { ...defaultListenerLimits, handshakes: plenty, handshakeMilliseconds: 600_000, ...limits },
  }
  return GatewayFixture.open({ listener })
}

async function plainTcp(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

async function until<T>(look: () => Promise<T | null>, what: string): Promise<T> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const found = await look()
    if (found !== null) return found
    ok(performance.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('connections without a handshake have a place like others, and give it back', async () => {
  const gateway = await patient({ connectionsPerAddress: 3 })
  try {
    const tls = gateway.connection(await gateway.trust.issue('agent/a'))
    const silent = [await plainTcp(gateway.port), await plainTcp(gateway.port), await plainTcp(gateway.port)]
    ok((await dial(tls).catch(() => null)) === null)
    deepEqual(
      gateway.refused.map(({ reason, remoteAddress }) => [reason, remoteAddress]),
      [[REFUSAL, '127.0.0.1']],
    )
    silent.shift()?.destroy()
    const admitted = await until(() => dial(tls).catch(() => null), 'room')
    ok((await dial(tls).catch(() => null)) === null)
    equal(gateway.refused.at(-1)?.reason, REFUSAL)
    for (const socket of [...silent, admitted]) socket.destroy()
  } finally {
    await gateway.close()
  }
})

test('handshakes under way are limited in all, and each that breaks off gives its place back once', async () => {
  const gateway = await patient({ pendingHandshakes: 2 })
  try {
    const tls = gateway.connection(await gateway.trust.issue('agent/a'))
    const { host, port, ca } = tls
    const breaks: readonly (() => Promise<unknown>)[] = [
      async () => (await plainTcp(gateway.port)).destroy(),
      async () => (await plainTcp(gateway.port)).end('GET / HTTP/1.1\r\n\r\n'),
      async () => (await plainTcp(gateway.port)).end(Buffer.from([22, 3, 1, 2, 0, 1])),
      () => dial({ ...tls, maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' }).catch(() => null),
      () => dial({ ...tls, ALPNProtocols: ['h2'] }).catch(() => null),
      () => dial({ host, port, ca }).catch(() => null),
    ]
    for (const breakOff of breaks) {
      for (let round = 0; round < 3; round++) {
        const { length } = gateway.refused
        await breakOff()
        await until(async () => gateway.refused.length > length || null, String(breakOff))
      }
    }
    ok(gateway.refused.every(({ reason }) => reason !== 'handshake_limit'))
    const silent = [await plainTcp(gateway.port), await plainTcp(gateway.port)]
    ok((await dial(tls).catch(() => null)) === null)
    equal(gateway.refused.at(-1)?.reason, 'handshake_limit')
    for (const socket of silent) socket.destroy()
    const admitted = await until(() => dial(tls).catch(() => null), 'room')
    admitted.destroy()
  } finally {
    await gateway.close()
  }
})
