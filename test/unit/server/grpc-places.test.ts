/** Calls over gRPC whose client never ends them: what was answered is closed, and the connection leaves its place. */

import { deepEqual, equal, fail } from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp } from 'node:http2'
import type { IncomingHttpHeaders } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { grpcLimits, serveGrpc } from '../../../packages/server/src/transports/grpc/grpc.ts'

/** The answer to a call whose request never ends, once both the call and the connection are over. */
async function unended(headers: Record<string, string>, body: Uint8Array): Promise<readonly unknown[]> {
  const limits = { ...grpcLimits, messageBytes: 64, idleMilliseconds: 10 }
  const methods = new Map([['/S/M', () => fail('it has no whole message')]])
  const service = { admit: () => null, methods, onProblem: (error: unknown) => fail(String(error)), limits }
  const stop = new AbortController()
  const server = createServer((socket) => void serveGrpc(socket, service, stop.signal))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const session = connectHttp('http://localhost', { createConnection: () => connect(port, '127.0.0.1') })
  try {
    const over = once(session, 'close')
    const all = { ':method': 'POST', ':path': '/S/M', 'content-type': 'application/grpc', ...headers }
    const stream = session.request(all, { endStream: false })
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
