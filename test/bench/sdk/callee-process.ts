/** The program under test: `protected`, or `bare`, which answers the same to whoever has a certificate. Its authority is in the process. */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { protect } from '@doorward/sdk'
import { testAuthority } from '@doorward/sdk/testing'
import { pemOf } from '../../fixtures/trust-fixture.ts'

export interface Served {
  readonly port: number
  readonly key: string
  readonly cert: string
  readonly ca: string
  readonly token: string
  /** Until it listened, its record open. */
  readonly startMilliseconds: number
}

const authority = await testAuthority()
const callee = await authority.identity('service/callee')
const caller = await authority.identity('agent/caller', { roles: ['reader'] })
const audience = 'https://callee.acme.test'
const body = 'x'.repeat(200)
const [, , variant = 'bare'] = process.argv
const began = performance.now()
const port = variant === 'protected' ? await protectedServer() : await bareServer()
const startMilliseconds = performance.now() - began
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

async function protectedServer(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-bench-sdk-'))
  const wide = { count: 10_000_000, periodSeconds: 1 }
  const server = await protect((_request, response) => response.end(body), {
    identity: callee,
    audience,
    listen: { host: '127.0.0.1', port: 0 },
    service: 'callee',
    routes: ['GET /orders/{id}'],
    policy: { roles: { reader: ['read:callee/*'] } },
    record: { folder: join(folder, 'record'), checkpoints: join(folder, 'checkpoints') },
    limits: { global: wide, perAddress: wide, perCaller: wide },
  })
  const end = async () => {
    await server.close(0)
    await rm(folder, { recursive: true, force: true })
  }
  process.once('disconnect', () => void end())
  return server.address.port
}

async function bareServer(): Promise<number> {
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
  server.on('request', (_request, response) => response.end(body))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  process.once('disconnect', () => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
