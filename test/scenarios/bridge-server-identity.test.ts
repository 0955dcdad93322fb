/** The server proves itself before it sees a byte: each case first succeeds, then fails when one thing is wrong. */

import assert from 'node:assert/strict'
import { createServer } from 'node:tls'
import type { Server } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import type { CallOptions } from '@doorward/sdk'
import { newAnchor, newLeaf } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { BridgeStage } from './bridge-stage.ts'

let stage: BridgeStage
before(async () => {
  stage = await BridgeStage.open()
})
const taps: Tap[] = []
after(async () => {
  for (const tap of taps) await tap.close()
  await stage.close()
})

/** A TLS server that records what it is sent and answers like HTTP. */
class Tap {
  bytes = 0
  readonly #server: Server
  url = ''
  constructor(svid: TestSvid, tls: { maxVersion?: 'TLSv1.2' } = {}) {
    const { anchorsPem: ca } = stage.authority.fixture
    this.#server = createServer(
      { ...svid.pem, ca, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2', ...tls },
      (socket) => {
        socket.on('error', () => undefined)
        socket.on('data', (chunk) => {
          this.bytes += chunk.length
          socket.end('HTTP/1.1 204 No Content\r\n\r\n')
        })
      },
    )
    this.#server.on('tlsClientError', () => undefined)
    taps.push(this)
  }
  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
    return this
  }
  close(): Promise<unknown> {
    return new Promise((resolve) => this.#server.close(resolve))
  }
}

const options = (more: Partial<CallOptions> = {}): CallOptions => ({
  method: 'POST',
  body: 'hello',
  audience: 'https://gateway.example/mcp/files',
  expectedId: stage.svid.id,
  ...more,
})

async function reaches(svid: TestSvid, tls: { maxVersion?: 'TLSv1.2' } = {}): Promise<number> {
  const tap = await new Tap(svid, tls).open()
  const response = await stage.identity.call(tap.url, options())
  response.body.resume()
  return tap.bytes
}

async function refuses(svid: TestSvid, code: string, tls: { maxVersion?: 'TLSv1.2' } = {}): Promise<void> {
  const tap = await new Tap(svid, tls).open()
  await assert.rejects(stage.identity.call(tap.url, options()), { code })
  assert.equal(tap.bytes, 0)
}

const gateway = () => stage.authority.fixture.id('doorward', 'gateway', 'main')

test('the expected server is sent the request', async () => {
  assert.ok((await reaches(stage.svid)) > 0)
})

test('another workload of the domain is sent nothing', async () => {
  await refuses(await stage.authority.fixture.issue('agent/imposter'), 'server_identity')
})

test('a foreign authority is sent nothing, whatever name it writes', async () => {
  const foreign = await newAnchor(stage.authority.fixture.trustDomain)
  await refuses(await newLeaf(foreign, gateway()), 'server_untrusted')
})

test('an expired certificate is sent nothing', async () => {
  await refuses(
    await newLeaf(stage.authority.fixture.anchor, gateway(), { startsIn: -7200, secondsLeft: -60 }),
    'server_untrusted',
  )
})

test('a certificate that the authority has not logged is sent nothing', async () => {
  await refuses(await newLeaf(stage.authority.fixture.anchor, gateway()), 'server_not_issued')
})

test('a certificate that was logged a moment ago is found by asking the authority', async () => {
  const fresh = await newLeaf(stage.authority.fixture.anchor, gateway())
  stage.authority.fixture.mirror(fresh)
  stage.authority.fixture.apply()
  assert.ok((await reaches(fresh)) > 0)
})

test('TLS 1.2 is sent nothing', async () => {
  await refuses(stage.svid, 'connection_refused', { maxVersion: 'TLSv1.2' })
})

test('a revoked server is sent nothing, and its kept connections are closed', async () => {
  const svid = await stage.authority.fixture.issue('doorward/gateway/two')
  const tap = await new Tap(svid).open()
  await stage.identity.prepare()
  const call = () => stage.identity.call(tap.url, options({ expectedId: svid.id }))
  ;(await call()).body.resume()
  stage.authority.fixture.denied.serials.push(svid.certificate.serial)
  stage.authority.fixture.apply()
  await stage.identity.prepare()
  const seen = tap.bytes
  await assert.rejects(call(), { code: 'server_revoked' })
  assert.equal(tap.bytes, seen)
})

test('only https without credentials is called', async () => {
  for (const url of ['http://127.0.0.1:1/', 'https://user:secret@127.0.0.1:1/', 'nonsense']) {
    await assert.rejects(stage.identity.call(url, options()), { code: 'url_invalid' })
  }
})
