/** The place of the Workload API's socket, and what its connections may send. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, chown, lstat, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { connect as connectHttp } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { concat } from '@doorward/core'
import { grpcLimits, serveGrpc } from '../../../packages/server/src/transports/grpc/grpc.ts'
import { listenForAll } from '../../../packages/server/src/transports/workload-api/open-socket.ts'
import type { ListeningSocket } from '../../../packages/server/src/transports/workload-api/open-socket.ts'
import { readJwtSvidRequest, validateResponse } from '../../../packages/server/src/transports/workload-api/messages.ts'
import { bytesField, readFields, textField, textsOf } from '../../../packages/server/src/transports/grpc/protobuf.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'

let folder: string
const open: ListeningSocket[] = []
before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'doorward-socket-')))
})
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})
after(() => rm(folder, { recursive: true }))

async function listen(path: string): Promise<ListeningSocket> {
  const service = await listenForAll({
    path,
    connections: 8,
    accept: (socket) => socket.end(),
    onProblem: () => undefined,
  })
  open.push(service)
  return service
}

async function made(name: string, mode: number): Promise<string> {
  const path = join(folder, name)
  await mkdir(path)
  await chmod(path, mode)
  return path
}

test('a folder that only its owner may write to is a place for the socket, whoever may look in', async () => {
  for (const mode of [0o700, 0o755]) {
    const { path } = await listen(join(await made(`good-${mode}`, mode), 's'))
    assert.equal((await lstat(path)).mode & 0o777, 0o777)
  }
})

test('a folder that others may write to, or below one, is none, sticky or not', async () => {
  for (const mode of [0o777, 0o1777, 0o775]) {
    const path = await made(`open-${mode}`, mode)
    await assert.rejects(listen(join(path, 's')), { code: 'local_folder_open' })
    if (mode === 0o1777) continue
    await mkdir(join(path, 'below'))
    await assert.rejects(listen(join(path, 'below', 's')), { code: 'local_folder_open' })
  }
  await assert.rejects(listen(join(folder, 'missing', 's')), { code: 'local_folder_open' })
})

test("another user's folder is none", async (t) => {
  if (process.getuid?.() !== 0) {
    assert.notEqual(process.env['CI'], 'true')
    return t.diagnostic('not root: not shown')
  }
  const path = await made('others', 0o755)
  await chown(path, 65_534, 65_534)
  await assert.rejects(listen(join(path, 's')), { code: 'local_folder_open' })
})

test('a socket that was left behind is replaced; a file, a link, and a socket with a listener are not', async () => {
  const place = await made('taken', 0o755)
  const left = join(place, 'left')
  await listen(left)
  await assert.rejects(listen(left), { code: 'local_path_taken' })
  await open.pop()?.close()
  await listen(left)
  await writeFile(join(place, 'file'), 'kept')
  await symlink(left, join(place, 'link'))
  for (const name of ['file', 'link']) await assert.rejects(listen(join(place, name)), { code: 'local_path_taken' })
  await assert.rejects(listen(join(place, 'x'.repeat(200))), { code: 'local_path_long' })
})

interface Answer {
  readonly status: unknown
  readonly grpc: unknown
}

/** A method that echoes, and one that never ends, on a socket of its own. */
async function echoing(name: string): Promise<{ readonly path: string; readonly close: () => Promise<void> }> {
  const path = join(folder, name)
  const stop = new AbortController()
  const echo = async function* (request: Uint8Array) {
    yield request
    return { status: 0, message: '' } as const
  }
  const forever = async function* (request: Uint8Array, signal: AbortSignal) {
    yield request
    await once(signal, 'abort')
    return { status: 0, message: '' } as const
  }
  const methods = new Map([
    ['/S/M', echo],
    ['/S/F', forever],
  ])
  const ended: Promise<unknown>[] = []
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    const onProblem = (error: unknown) => assert.fail(String(error))
    const session = serveGrpc(socket, { admit: () => null, methods, onProblem }, stop.signal)
    ended.push(new Promise((resolve) => session.once('close', resolve)))
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    path,
    // Resolves when every connection has ended.
    close: async () => {
      stop.abort()
      server.close()
      await Promise.all(ended)
    },
  }
}

/** One call with these bytes as its body, against a method that echoes. */
async function call(body: Uint8Array, headers: Record<string, string> = {}): Promise<Answer> {
  const { path, close } = await echoing('grpc.sock')
  const session = connectHttp('http://localhost', { createConnection: () => connect(path) })
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/S/M',
      'content-type': 'application/grpc',
      ...headers,
    })
    stream.on('error', () => undefined)
    let head: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    stream.on('response', (given) => (head = given))
    stream.on('trailers', (given: IncomingHttpHeaders) => (trailers = given))
    stream.end(body)
    stream.resume()
    await once(stream, 'close')
    const grpc: unknown = head['grpc-status'] ?? trailers['grpc-status']
    return { status: head[':status'], grpc }
  } finally {
    session.destroy()
    await close()
  }
}

const framed = (bytes: Uint8Array, flag = 0) =>
  concat(Uint8Array.of(flag, 0, 0, bytes.length >> 8, bytes.length & 0xff), bytes)

test('a call has exactly one message of a bounded size, without compression', async () => {
  assert.deepEqual(await call(framed(new Uint8Array(10))), { status: 200, grpc: '0' })
  assert.deepEqual(await call(framed(new Uint8Array(grpcLimits.messageBytes))), { status: 200, grpc: '0' })
  assert.deepEqual(await call(framed(new Uint8Array(grpcLimits.messageBytes + 1))), { status: 200, grpc: '8' })
  assert.deepEqual(await call(framed(new Uint8Array(10), 1)), { status: 200, grpc: '12' })
  const wrong = [
    new Uint8Array(0),
    new Uint8Array(3),
    framed(new Uint8Array(10)).subarray(0, 9),
    framed(new Uint8Array(1), 7),
  ]
  for (const body of [...wrong, concat(framed(new Uint8Array(1)), framed(new Uint8Array(1)))])
    assert.deepEqual(await call(body), { status: 200, grpc: '3' })
})

test('who calls no more leaves his place; an open stream keeps it, however long it says nothing', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { path, close } = await echoing('idle.sock')
  const sessions = [0, 1, 2].map(() => connectHttp('http://localhost', { createConnection: () => connect(path) }))
  const [calling, watching, silent] = sessions
  assert.ok(calling !== undefined && watching !== undefined && silent !== undefined)
  const gone = new Set<unknown>()
  for (const session of sessions) session.on('close', () => gone.add(session)).on('error', () => undefined)
  const asked = async (session: ClientHttp2Session, method: string, until: 'data' | 'close') => {
    const headers = { ':method': 'POST', ':path': method, 'content-type': 'application/grpc' }
    const stream = session.request(headers).on('error', () => undefined)
    stream.end(framed(new Uint8Array(1)))
    stream.resume()
    await once(stream, until)
  }
  await once(silent, 'connect')
  t.mock.timers.tick(grpcLimits.requestMilliseconds - 1)
  await asked(watching, '/S/F', 'data')
  await asked(watching, '/S/M', 'close')
  // Every call begins the time anew.
  for (let round = 0; round < 3; round++) {
    await asked(calling, '/S/M', 'close')
    await asked(watching, '/S/M', 'close')
    t.mock.timers.tick(grpcLimits.idleMilliseconds - 1)
    assert.ok(!calling.closed && !calling.destroyed)
  }
  // The end of a call reaches the other side a little later.
  for (const deadline = performance.now() + 20_000; gone.size < 2 && performance.now() < deadline;) {
    t.mock.timers.tick(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(gone, new Set([silent, calling]))
  t.mock.timers.tick(grpcLimits.idleMilliseconds * 10)
  await asked(watching, '/S/M', 'close')
  assert.deepEqual(gone, new Set([silent, calling]))
  watching.destroy()
  await close()
})

test('what is not gRPC, and what nobody serves, is refused', async () => {
  const body = framed(new Uint8Array(1))
  assert.equal((await call(body, { ':method': 'PUT' })).status, 405)
  assert.equal((await call(body, { 'content-type': 'application/json' })).status, 415)
  assert.equal((await call(body, { 'content-type': 'application/grpc-web' })).status, 415)
  assert.deepEqual(await call(body, { ':path': '/S/N' }), { status: 200, grpc: '12' })
})

test('a message is read strictly and within its bounds', () => {
  const request = concat(textField(1, 'a'), Uint8Array.of(0x18, 0xff, 0x01), textField(2, 'spiffe://x/y'))
  assert.deepEqual(readJwtSvidRequest(request), { audiences: ['a'], id: 'spiffe://x/y' })
  for (const bad of [
    [0x0a],
    [0x0a, 5, 1],
    [0x0b],
    [0x00, 0],
    [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f],
    Array.from({ length: 11 }, () => 0xff),
  ])
    assert.equal(readFields(Uint8Array.from(bad)), null, String(bad))
  assert.equal(readFields(concat(...Array.from({ length: 65 }, () => textField(1, 'a')))), null)
  assert.equal(textsOf([{ number: 1, value: Uint8Array.of(0xff) }], 1), null)
  assert.deepEqual(
    readFields(bytesField(5, new Uint8Array(300)))?.map(({ value }) => value.length),
    [300],
  )
  assert.ok(validateResponse('spiffe://x/y', { a: [1, null, true, { b: 'c' }] }).length > 20)
})

const configured = (entry: string) =>
  parseConfiguration(`trust_domain: acme.example\nworkload_api:\n  entries: [${entry}]\n`, 'f')

test('an entry says for whom it is, in the form of each selector', () => {
  const digest = 'a'.repeat(64)
  const good = `{ identity: agent/a, uid: 0, gid: 4294967294, path: /bin/a, sha256: ${digest}, cgroup: /a, systemd_unit: a@1.service }`
  assert.equal(configured(good).workload_api.entries.length, 1)
  for (const bad of [
    '{ identity: agent/a }',
    '{ identity: agent/a, hint: h }',
    '{ uid: 0 }',
    '{ identity: /agent/a, uid: 0 }',
    '{ identity: agent/../a b, uid: 0 }',
    '{ identity: agent/a, uid: -1 }',
    '{ identity: agent/a, uid: 4294967295 }',
    '{ identity: agent/a, path: bin/a }',
    `{ identity: agent/a, sha256: ${digest.toUpperCase()} }`,
    '{ identity: agent/a, cgroup: a }',
    '{ identity: agent/a, systemd_unit: a }',
    '{ identity: agent/a, user: root }',
    '{ identity: agent/a, uid: 0, hint: h }, { identity: agent/b, uid: 0, hint: h }',
  ])
    assert.throws(() => configured(bad), bad)
})
