import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { join, openIdentity } from '@doorward/sdk'
import { newLeaf } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

test('no call fails when the certificate of a server ends that has renewed it meanwhile', async () => {
  const authority = await FakeAuthority.start()
  const folder = await mkdtemp(path(tmpdir(), 'doorward-pool-'))
  const sealer = memorySealer()
  await join({ joinString: authority.joinString(), folder, sealer })
  const { fixture } = authority
  const expectedId = fixture.id('doorward', 'gateway', 'main')
  const short = await newLeaf(fixture.anchor, expectedId, { secondsLeft: 3 })
  const long = await newLeaf(fixture.anchor, expectedId)
  fixture.mirror(short)
  fixture.mirror(long)
  await authority.publish()
  const ca = [...fixture.anchorsPem]
  let connections = 0
  const server = createServer({ ...short.pem, ca, requestCert: true }, (request, response) => {
    request.resume()
    setTimeout(() => response.writeHead(204).end(), 100)
  })
  server.on('secureConnection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const identity = await openIdentity({ folder, sealer })
  await identity.prepare()
  const call = async () => {
    // Not repeated by anybody: a POST whose connection is lost is a failed call.
    const response = await identity.call(url, { method: 'POST', audience: authority.mainUrl, expectedId, body: 'x' })
    response.body.resume()
    assert.equal(response.status, 204)
  }
  await call()
  server.setSecureContext({ ...long.pem, ca, minVersion: 'TLSv1.3' })
  const worker = async () => {
    while (Date.now() < (short.certificate.notAfter + 1) * 1000) await call()
  }
  await Promise.all([worker(), worker(), worker()])
  assert.ok(connections >= 2, String(connections))
  identity.close()
  server.closeAllConnections()
  server.close()
  await authority.close()
  await rm(folder, { recursive: true, force: true })
})
