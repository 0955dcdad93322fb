/** Whoever would fill the disk through the record: what strangers and known callers can make it grow by is bounded. */

import { ok } from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { defaultCipherSuites } from '../../packages/enforcement/src/wire/listener.ts'
import { testSecurity } from '../fixtures/authority/running.ts'
import { canBind } from '../fixtures/loopback.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'
import { TrustFixture } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

/** As docs/production.md says: of refusals of strangers, and of one denial of a known caller. */
const BUDGET = { entriesPerSecond: 64, entryBytes: 512, denialBytes: 32_768 }
const FLOOD_MILLISECONDS = 3000
const PER_USER = 20

let system: RunningSystem
let foreign: TestSvid
/** Other addresses of loopback, from which one machine can call as many strangers. */
let addresses = false

before(async () => {
  const security = { ...testSecurity, cipherSuites: defaultCipherSuites }
  const perUser = { count: PER_USER, periodSeconds: 60 }
  system = await startSystem({ gateway: { security: { ...security, perUser } } })
  foreign = await (await TrustFixture.create()).issue('agent/caller')
  addresses = await canBind('127.0.0.2')
})
after(() => system.stop())

let strangers = 0
/** A new one each time, where the platform has them. */
function stranger(): { readonly localAddress?: string } {
  strangers++
  return addresses ? { localAddress: `127.0.${1 + (strangers % 200)}.${1 + (Math.floor(strangers / 200) % 200)}` } : {}
}

/** However it comes to that: refusals are errors of the socket. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.once('close', () => resolve()))
}

const place = () => ({ host: '127.0.0.1', port: system.gateway.addresses.main.port })

async function garbage(): Promise<void> {
  const socket = connect({ ...place(), ...stranger() })
  socket.on('error', () => undefined)
  socket.end('GET / HTTP/1.1\r\n\r\n')
  await closed(socket)
}

async function handshake(own: Partial<TestSvid['pem']>): Promise<void> {
  const socket = connectTls({ ...place(), ...stranger(), ...own, rejectUnauthorized: false })
  socket.on('error', () => undefined)
  // TLS 1.3: the refusal of a certificate comes after the handshake, with the first answer.
  socket.end(`GET /${'x'.repeat(7000)} HTTP/1.1\r\nHost: a\r\n\r\n`)
  socket.resume()
  await closed(socket)
}

async function journal(): Promise<number> {
  const folder = join(system.gateway.record.folder, 'segments')
  const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function entriesFrom(from: number): Promise<readonly LoggedEntry[]> {
  const found: LoggedEntry[] = []
  for await (const entry of readEntries(system.gateway.record.folder, { from, unsigned: true })) found.push(entry)
  return found
}

const newest = async () => (await entriesFrom(0)).length

test('strangers who flood with broken handshakes, foreign certificates and huge paths cost 64 short entries a second', async (t) => {
  const [from, bytes, begun] = [await newest(), await journal(), performance.now()]
  const until = begun + FLOOD_MILLISECONDS
  const lane = async (attempt: () => Promise<void>) => {
    while (performance.now() < until) await attempt()
  }
  const lanes = [garbage, garbage, garbage, garbage, () => handshake({}), () => handshake(foreign.pem)]
  await Promise.all(lanes.map((attempt) => lane(attempt)))
  await sleep(2500)
  const seconds = (performance.now() - begun) / 1000
  const refusals = (await entriesFrom(from)).filter(({ entry: { kind } }) => kind === 'refusals')
  const counted = refusals.reduce((sum, { entry: { body } }) => sum + Number(body['count']), 0)
  const grown = (await journal()) - bytes
  t.diagnostic(`${strangers} attempts, ${refusals.length} entries, ${grown} bytes in ${Math.round(seconds)} s`)
  ok(refusals.length <= BUDGET.entriesPerSecond * seconds, `${refusals.length} entries`)
  ok(grown <= BUDGET.entriesPerSecond * seconds * BUDGET.entryBytes, `${grown} bytes`)
  ok(counted >= strangers * 0.9, `${counted} of ${strangers} are counted`)
  // Otherwise nothing has been limited.
  if (addresses) ok(counted > 1.2 * refusals.length, `${counted} in ${refusals.length}`)
  for (const { entry } of refusals) ok(!JSON.stringify(entry.body).includes('xxxx'))
})

test('a known caller costs one entry for each denial that its rate lets through, and one a second beyond it', async (t) => {
  const fetch = await system.open(await system.join('agent/flooding'))
  const client = { name: 'flood', version: '1' }
  const session = await openMcpClient({ fetch, endpoint: system.endpoint, runtime: systemRuntime, client })
  const [from, bytes, begun] = [await newest(), await journal(), performance.now()]
  let denied = 0
  // However slow the machine is.
  while (performance.now() < begun + 2000 || denied <= 2 * PER_USER) {
    await session.request('tools/call', { name: '\u0001'.repeat(4096), arguments: {} })
    denied++
  }
  await sleep(2500)
  const seconds = (performance.now() - begun) / 1000
  const found = (await entriesFrom(from)).map(({ entry }) => entry)
  const own = found.filter(({ kind, body }) => kind === 'decision' && body['decision'] === 'deny')
  const counted = found.filter(({ kind }) => kind === 'refusals')
  const grown = (await journal()) - bytes
  t.diagnostic(`${denied} denials, ${own.length} entries, ${counted.length} counted, ${grown} bytes`)
  ok(denied > 2 * PER_USER)
  // What the limiter gives back meanwhile, too.
  ok(own.length > 0 && own.length <= PER_USER + 2 + (seconds * PER_USER) / 60, `${own.length} entries`)
  ok(counted.length <= Math.ceil(seconds) + 1, `${counted.length} entries`)
  for (const entry of own) ok(JSON.stringify(entry).length <= BUDGET.denialBytes, `${JSON.stringify(entry).length}`)
  ok(grown <= (own.length + 2) * BUDGET.denialBytes)
})
