/** Administration where several authorities have one admin API: another is asked when that repeats nothing. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createPlainServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { AdminClient, connectionError, join, openIdentity, ServerRefused } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { AdminRoute } from '../../../packages/sdk/src/admin-client-route.ts'
import type { TestSvid } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

type Behaviour = 'answers' | 'breaks' | 'refuses'

interface AdminServer {
  readonly url: string
  readonly server: Server
  /** Method and path of what has arrived here. */
  readonly asked: string[]
  behaves: Behaviour
}

const sealer = memorySealer()
let root: string
let authority: FakeAuthority
let identity: Identity
let first: AdminServer
let second: AdminServer
let impostor: AdminServer
/** An address at which nobody listens. */
let nowhere: string

before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-admin-'))
  authority = await FakeAuthority.start()
  const own = await authority.fixture.issue('doorward/authority')
  first = await adminServer(own)
  second = await adminServer(own)
  impostor = await adminServer(await authority.fixture.issue('doorward/gateway/bold'))
  nowhere = `https://127.0.0.1:${await freePort()}`
  await authority.publish()
  await join({ joinString: authority.joinString(), folder: path(root, 'one'), sealer })
  identity = await openIdentity({ folder: path(root, 'one'), sealer })
  await identity.prepare()
})
after(async () => {
  identity.close()
  for (const { server } of [first, second, impostor]) {
    server.closeAllConnections()
    server.close()
  }
  await authority.close()
  await rm(root, { recursive: true, force: true })
})
beforeEach(() => {
  for (const one of [first, second, impostor]) {
    one.asked.length = 0
    one.behaves = 'answers'
  }
})

async function adminServer(svid: TestSvid): Promise<AdminServer> {
  const asked: string[] = []
  const tls = { ca: authority.fixture.anchorsPem, requestCert: true, minVersion: 'TLSv1.3' } as const
  const server = createServer({ ...svid.pem, ...tls }, (request, response) => {
    asked.push(`${request.method} ${request.url}`)
    request.resume().once('end', () => {
      if (made.behaves === 'breaks') return request.socket.destroy()
      const refused = made.behaves === 'refuses'
      const headers = { 'content-type': 'application/json', ...(refused ? { 'Doorward-Code': 'conflict' } : {}) }
      return response.writeHead(refused ? 409 : 200, headers).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const made: AdminServer = { url, server, asked, behaves: 'answers' }
  return made
}

async function freePort(): Promise<number> {
  const server = createPlainServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function clientOf(url: string, ...others: readonly string[]): AdminClient {
  const { authorityUrl: audience, authorityId: expectedId } = identity
  return new AdminClient(identity, { url, audience, expectedId, others: () => others })
}

/** Changes something, whatever the answer. */
const change = (client: AdminClient) => client.lockInstance('spiffe://test.example/agent/x', '01', 'test')
const read = 'GET /v1/status'
const changed = 'POST /v1/instances/lock'

test('OP-12: reading and changing go to another authority when nobody listens at the first address', async () => {
  const client = clientOf(nowhere, second.url)
  await client.status()
  await change(client)
  assert.deepEqual(second.asked, [read, changed])
})

test('the first address is asked while it answers, and afterwards the one that did', async () => {
  const client = clientOf(first.url, second.url)
  await client.status()
  await change(client)
  assert.deepEqual([first.asked, second.asked], [[read, changed], []])
  first.behaves = 'breaks'
  await client.status()
  first.behaves = 'answers'
  await change(client)
  assert.deepEqual(second.asked, [read, changed])
})

test('a change that may have been carried out is not made again elsewhere; what only reads is read there', async () => {
  first.behaves = 'breaks'
  const client = clientOf(first.url, second.url)
  await assert.rejects(change(client), { code: 'connection_lost' })
  assert.deepEqual([first.asked, second.asked], [[changed], []])
  await client.status()
  assert.deepEqual(second.asked, [read])
})

test('a server that is not the authority gets nothing, and the other is asked', async () => {
  const client = clientOf(impostor.url, second.url)
  await change(client)
  assert.deepEqual([impostor.asked, second.asked], [[], [changed]])
  const alone = clientOf(impostor.url, nowhere)
  await assert.rejects(change(alone), (error) => error instanceof DoorwardError && error.code.startsWith('server_'))
})

test('a refusal is not carried to another authority', async () => {
  first.behaves = 'refuses'
  const client = clientOf(first.url, second.url)
  for (const call of [() => client.status(), () => change(client)])
    await assert.rejects(call(), (error) => error instanceof ServerRefused && error.code === 'conflict')
  assert.deepEqual(second.asked, [])
})

test('the log is that of one authority: it is read there or not at all', async () => {
  const entries = clientOf(nowhere, second.url).record()
  await assert.rejects(entries.next(), { code: 'server_unreachable' })
  assert.deepEqual(second.asked, [])
})

test('where nobody can be reached it is told of the first address, and an address that is none is passed over', async () => {
  const other = `https://127.0.0.1:${await freePort()}`
  await assert.rejects(clientOf(nowhere, 'no address', other).status(), (error) => {
    assert.ok(error instanceof DoorwardError)
    assert.deepEqual([error.code, error.where], ['server_unreachable', new URL(nowhere).host])
    return true
  })
})

const refusedThere = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' })
const lostHere = Object.assign(new Error('write EHOSTUNREACH'), { code: 'EHOSTUNREACH', syscall: 'write' })
const several = Object.assign(new AggregateError([refusedThere, refusedThere]), { code: 'ECONNREFUSED' })

test('a change goes on only when the connection was never made', async () => {
  for (const [cause, goesOn] of [
    [refusedThere, true],
    [several, true],
    [lostHere, false],
    [new AggregateError([refusedThere, lostHere]), false],
  ] as const) {
    const tried: string[] = []
    const route = new AdminRoute({ url: 'https://a:1', others: () => ['https://b:1'] })
    const call = async (url: string) => {
      tried.push(url)
      if (url === 'https://a:1') throw connectionError(cause, url)
    }
    await route.through('POST', call).catch(() => undefined)
    assert.equal(tried.length, goesOn ? 2 : 1, cause.message)
  }
})

test('after 20 s no further address is begun', async () => {
  let now = 0
  const others = Array.from({ length: 7 }, (_, index) => `https://other-${index}:1`)
  const tried: string[] = []
  const route = new AdminRoute({ url: 'https://a:1', others: () => others }, () => now)
  const call = (url: string) => {
    tried.push(url)
    now += 10_000
    // As a handshake that is not completed in time.
    return Promise.reject(new DoorwardError('connection_timeout', 'test', { where: url }))
  }
  await assert.rejects(route.through('POST', call), { where: 'https://a:1' })
  assert.equal(tried.length, 2)
})
