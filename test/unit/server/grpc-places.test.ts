/** Calls over gRPC whose client never ends them: what was answered is closed, and the connection leaves its place. */

import { deepEqual, equal, fail } from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp } from 'node:http2'
import type { IncomingHttpHeaders, Settings } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { grpcLimits, serveGrpc } from '../../../packages/server/src/transports/grpc/grpc.ts'
import type { GrpcCalls } from '../../../packages/server/src/transports/grpc/grpc.ts'

async function served(service: GrpcCalls, settings: Settings = {}) {
  const server = createServer((socket) => void serveGrpc(socket, service, new AbortController().signal))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const createConnection = () => connect(port, '127.0.0.1')
  return { server, session: connectHttp('http://localhost', { createConnection, settings }) }
}

const grpc = { ':method': 'POST', ':path': '/S/M', 'content-type': 'application/grpc' }

/** The answer to a call whose request never ends, once both the call and the connection are over. */
async function unended(headers: Record<string, string>, body: Uint8Array): Promise<readonly unknown[]> {
  const limits = { ...grpcLimits, messageBytes: 64, idleMilliseconds: 10 }
  const methods = new Map([['/S/M', () => fail('it has no whole message')]])
  const service = { admit: () => null, methods, onProblem: (error: unknown) => fail(String(error)), limits }
  const { server, session } = await served(service)
  try {
    const over = once(session, 'close')
    const stream = session.request({ ...grpc, ...headers }, { endStream: false })
    let head: IncomingHttpHeaders = {}
    stream.on('response', (given) => (head = given)).resume()
    stream.write(body)
    await once(stream, 'close')
    // Nothing keeps the connection after its last call.
    await over
    return [head[':status'], head['grpc-status'], stream.rstCode]
  } finally {
    session.destroy()
    server.close()
  }
}

test('a call that is answered before its end is closed, and leaves its place', { timeout: 60_000 }, async () => {
  const some = Uint8Array.of(0, 0, 0, 0, 9)
  deepEqual(await unended({}, new Uint8Array(70)), [200, '8', 0])
  deepEqual(await unended({ ':path': '/S/N' }, some), [200, '12', 0])
  deepEqual(await unended({ ':method': 'PUT' }, some), [405, undefined, 0])
  equal((await unended({ 'content-type': 'text/plain' }, some))[0], 415)
})

test('an answer that is not taken ends in time, and its call has ended before', { timeout: 60_000 }, async () => {
  const { promise: ended, resolve: callEnded } = Promise.withResolvers<string>()
  const service: GrpcCalls = {
    admit: () => null,
    methods: new Map([
      [
        '/S/M',
        async function* () {
          yield new Uint8Array(9)
          return { status: 0, message: '' }
        },
      ],
    ]),
    onProblem: (error) => fail(String(error)),
    onCall: () => () => callEnded('call'),
    limits: { ...grpcLimits, requestMilliseconds: 200, idleMilliseconds: 60_000 },
  }
  const { server, session } = await served(service, { initialWindowSize: 0 })
  try {
    const stream = session.request(grpc)
    stream.on('error', () => undefined)
    stream.end(new Uint8Array(5))
    const closed = once(stream, 'close').then(() => 'stream')
    equal(await Promise.race([ended, closed]), 'call')
    // The connection is there still, for whatever is asked next.
    equal(await closed, 'stream')
    equal(session.destroyed, false)
  } finally {
    session.destroy()
    server.close()
  }
})
