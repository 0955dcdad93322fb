/** Parts of a sidecar by themselves: the way to the program, local connections, the file of keys, and headers. */

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { chmod, lstat, mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { epochMillis, parseSpiffeId } from '@doorward/core'
import { Assertions } from '../../../packages/server/src/apps/sidecar/assertions.ts'
import { programAt } from '../../../packages/server/src/apps/sidecar/program.ts'
import { LocalHttp } from '../../../packages/server/src/transports/sidecar/local-http.ts'
import { requestHeaders } from '../../../packages/server/src/transports/sidecar/passing-headers.ts'
import { timeThatGoesOn } from '../../../packages/server/src/apps/sidecar/time-that-goes-on.ts'

let folder: string
const servers: Server[] = []
before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'doorward-sidecar-')))
})
after(async () => {
  for (const server of servers) server.close()
  await rm(folder, { recursive: true })
})

async function listening(name: string, accept: (socket: Socket) => void): Promise<string> {
  const path = join(folder, name)
  const server = createServer(accept).listen({ path })
  servers.push(server)
  await once(server, 'listening')
  return path
}

/** A caller that stays. */
const waiting = Object.assign(new EventEmitter(), { destroyed: false })

test('a connection whose owner cannot be asked for is closed', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const path = await listening('program.sock', (socket) => {
    socket.once('close', () => resolve())
    socket.resume()
  })
  const failing = {
    of: () => {
      throw new Error('EMFILE')
    },
  }
  const program = programAt({ socket: path }, process.getuid?.() ?? 0, failing)
  await assert.rejects(program.connect(waiting), /EMFILE/)
  await promise
})

test('a connection that was still looked at when the others were closed is not served', async () => {
  let served = 0
  const http = new LocalHttp(
    async ({ response }) => {
      served++
      response.end()
    },
    (error) => assert.fail(String(error)),
  )
  const accepted = Promise.withResolvers<Socket>()
  const path = await listening('late.sock', (socket) => accepted.resolve(socket))
  const client = connect({ path })
  client.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const socket = await accepted.promise
  http.close(60_000)
  http.serve(socket)
  await closed
  assert.equal(served, 0)
})

test('the file of keys can be read by everybody whatever the umask, and lies where nobody else can write', async () => {
  const issuer = parseSpiffeId('spiffe://test.example/service/orders')
  const clock = () => epochMillis(0)
  const assertions = await Assertions.open({ issuer, audience: 'orders', clock })
  const umask = process.umask(0o077)
  try {
    await assertions.write(join(folder, 'keys.json'))
    await assertions.write(join(folder, 'keys.json'))
  } finally {
    process.umask(umask)
  }
  assert.equal((await lstat(join(folder, 'keys.json'))).mode & 0o777, 0o644)
  const open = join(folder, 'open')
  await mkdir(open)
  await chmod(open, 0o777)
  await assert.rejects(assertions.write(join(open, 'keys.json')), { code: 'local_folder_open' })
  assert.deepEqual(await readdir(open), [])
})

test('a time that goes on though the clock was put back is told of once, until the clock has caught up', () => {
  const at = { wall: 1_000_000, passed: 0 }
  const told: number[] = []
  const runtime = { wall: () => epochMillis(at.wall), monotonic: () => at.passed }
  const clock = timeThatGoesOn(runtime, (milliseconds) => told.push(milliseconds))
  const now = (wall: number, passed: number) => {
    Object.assign(at, { wall, passed })
    return Number(clock())
  }
  assert.equal(now(4_600_000, 10), 4_600_000)
  // What libraries let clocks differ is nothing to tell of.
  assert.equal(now(4_595_010, 20), 4_600_010)
  assert.deepEqual(told, [])
  assert.equal(now(1_000_030, 30), 4_600_020)
  assert.equal(now(1_000_040, 40), 4_600_030)
  assert.deepEqual(told, [3_599_990])
  assert.equal(now(4_700_000, 50), 4_700_000)
  assert.equal(now(4_600_000, 60), 4_700_010)
  assert.deepEqual(told, [3_599_990, 100_010])
})

test('headers by which platforms, gateways and frameworks name a caller do not pass, nor do credentials of theirs', () => {
  const naming = [
    'x-goog-authenticated-user-email',
    'x-goog-iap-jwt-assertion',
    'x-amzn-oidc-data',
    'x-amzn-oidc-identity',
    'x-ms-client-principal',
    'x-ms-client-principal-name',
    'x-ms-token-aad-id-token',
    'cf-access-jwt-assertion',
    'cf-access-authenticated-user-email',
    'cf-connecting-ip',
    'cf-connecting-ipv6',
    'x-consumer-username',
    'x-user',
    'x-user-id',
    'x-proxy-user',
    'x-auth-user',
    'x-auth-token',
    'x-auth-request-email',
    'x-access-token',
    'private-token',
    'x-cluster-client-ip',
    'true-client-ip',
    'x-client-ip',
  ]
  const passing = { accept: 'text/plain', 'x-request-id': 'one', 'x-amzn-trace-id': 'one', 'if-match': '"one"' }
  const given = { ...Object.fromEntries(naming.map((name) => [name, 'forged'])), ...passing }
  assert.deepEqual(requestHeaders(given), passing)
})
