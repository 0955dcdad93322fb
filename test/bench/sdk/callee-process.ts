/** The program under test, in one of the variants of `variants.ts`. Its authority is in the process. */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultCipherSuites, defaultListenerLimits, openListener } from '@doorward/enforcement'
import { openRecordOf, protect, systemRuntime } from '@doorward/sdk'
import type { OpenRecord, RecordPlace } from '@doorward/sdk'
import { testAuthority } from '@doorward/sdk/testing'
import { pemOf } from '../../fixtures/trust-fixture.ts'
import { quickRecord } from './quick-record.ts'
import { isVariant } from './variants.ts'
import type { Variant } from './variants.ts'

export interface Served {
  readonly port: number
  readonly key: string
  readonly cert: string
  readonly ca: string
  readonly token: string
  /** Until it listened, its record open. */
  readonly startMilliseconds: number
}

type Ending = () => Promise<void> | void

const authority = await testAuthority()
const callee = await authority.identity('service/callee')
const caller = await authority.identity('agent/caller', { roles: ['reader'] })
const audience = 'https://callee.acme.test'
const body = 'x'.repeat(200)
const wide = { count: 10_000_000, periodSeconds: 1 }
const [, , variant = ''] = process.argv
if (!isVariant(variant)) throw new TypeError(`no variant ${variant}`)
const began = performance.now()
const [port, end] = await opened(variant)
const startMilliseconds = performance.now() - began
process.once('disconnect', () => void end())
const { chain, privateKey, anchors } = caller.identity.material()
const served: Served = {
  port,
  key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  cert: chain.map(pemOf).join(''),
  ca: anchors.map(pemOf).join(''),
  token: (await caller.token(audience)).reveal(),
  startMilliseconds,
}
process.send?.(served)

function opened(kind: Variant): Promise<readonly [number, Ending]> {
  switch (kind) {
    case 'bare':
      return bareServer()
    case 'listener':
      return listenerAlone()
    case 'unrecorded':
      return unrecorded()
    case 'protected':
      return onDisk((place) => protectedServer(place))
  }
}

async function onDisk(
  open: (place: RecordPlace) => Promise<readonly [number, Ending]>,
): Promise<readonly [number, Ending]> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-bench-sdk-'))
  const [at, close] = await open({ folder: join(folder, 'record'), checkpoints: join(folder, 'checkpoints') })
  const ending = async () => {
    await close()
    await rm(folder, { recursive: true, force: true })
  }
  return [at, ending]
}

async function protectedServer(record: RecordPlace | OpenRecord): Promise<readonly [number, Ending]> {
  const server = await protect((_request, response) => response.end(body), {
    identity: callee,
    audience,
    listen: { host: '127.0.0.1', port: 0 },
    service: 'callee',
    routes: ['GET /orders/{id}'],
    policy: { roles: { reader: ['read:callee/*'] } },
    record,
    limits: { global: wide, perAddress: wide, perCaller: wide },
  })
  return [server.address.port, () => server.close(0)]
}

/** The same stages, and entries that nothing keeps: nothing that is shipped can be opened so. */
function unrecorded(): Promise<readonly [number, Ending]> {
  return onDisk(async (place) => {
    const record = await openRecordOf(callee, place)
    const [at, close] = await protectedServer({ ...record, log: quickRecord(record.log) })
    const ending = async () => {
      await close()
      await record[Symbol.asyncDispose]()
    }
    return [at, ending]
  })
}

/** What a protected program listens with, and nothing decided about its calls. */
async function listenerAlone(): Promise<readonly [number, Ending]> {
  const listener = await openListener({
    name: 'main',
    host: '127.0.0.1',
    port: 0,
    clientCertificate: 'required',
    material: callee.identity.material(),
    authorities: [new URL(audience).host],
    cipherSuites: defaultCipherSuites,
    securityHeaders: { 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer' },
    limits: defaultListenerLimits,
    clock: systemRuntime.wall,
    monotonic: systemRuntime.monotonic,
    onExchange: async ({ response }) => void response.end(body),
    onRefusedHandshake: () => undefined,
  })
  return [listener.address.port, () => listener.close(0)]
}

async function bareServer(): Promise<readonly [number, Ending]> {
  const own = callee.identity.material()
  const server = createServer({
    key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: own.chain.map(pemOf).join(''),
    ca: own.anchors.map(pemOf),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    noDelay: true,
  })
  // Its connections are idle while the others are warmed.
  server.keepAliveTimeout = 60_000
  server.on('request', (_request, response) => response.end(body))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const ending = () => {
    server.closeAllConnections()
    server.close()
  }
  return [(server.address() as AddressInfo).port, ending]
}
