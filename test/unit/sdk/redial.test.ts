import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { join, openIdentity } from '@doorward/sdk'
import { redialled } from '../../../packages/sdk/src/redial.ts'
import { newLeaf } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

test('a call is not lost to a server that closes new connections while it has too much to do', async () => {
  const authority = await FakeAuthority.start()
  const folder = await mkdtemp(path(tmpdir(), 'doorward-redial-'))
  const sealer = memorySealer()
  await join({ joinString: authority.joinString(), folder, sealer })
  const { fixture } = authority
  const expectedId = fixture.id('doorward', 'gateway', 'main')
  const leaf = await newLeaf(fixture.anchor, expectedId)
  fixture.mirror(leaf)
  await authority.publish()
  let requests = 0
  const server = createServer({ ...leaf.pem, ca: [...fixture.anchorsPem], requestCert: true }, (request, response) => {
    requests++
    request.resume()
    response.writeHead(204).end()
  })
  let busy = 2
  server.prependListener('connection', (socket: Socket) => void (busy-- > 0 && socket.resetAndDestroy()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const identity = await openIdentity({ folder, sealer })
  await identity.prepare()
  // Nothing that was sent is sent again.
  const options = { method: 'POST', audience: authority.mainUrl, expectedId, body: 'x', retries: false }
  const response = await identity.call(url, options)
  response.body.resume()
  assert.deepEqual([response.status, requests, busy], [204, 1, -1])
  identity.close()
  server.closeAllConnections()
  server.close()
  await authority.close()
  await rm(folder, { recursive: true, force: true })
})

test('a server that takes no connection is tried five times with growing pauses, and one that refuses us once', async () => {
  const pauses: number[] = []
  const runtime = { chance: () => 1, sleep: async (pause: number) => void pauses.push(pause) }
  const failing = (code: string) => redialled(() => Promise.reject(new DoorwardError(code, 'no')), runtime)
  await assert.rejects(failing('connection_lost'), { code: 'connection_lost' })
  assert.deepEqual(pauses.splice(0), [250, 500, 1000, 2000])
  await assert.rejects(failing('connection_refused'), { code: 'connection_refused' })
  assert.deepEqual(pauses, [])
})

test('nothing is tried again once it is not wanted any more', async () => {
  const wanted = new AbortController()
  let tries = 0
  const dial = () => Promise.reject(new DoorwardError('connection_lost', `try ${++tries}`))
  const runtime = { chance: () => 1, sleep: async () => wanted.abort() }
  await assert.rejects(redialled(dial, runtime, wanted.signal), { code: 'connection_lost' })
  assert.equal(tries, 1)
})
