/**
 * A flood of handshakes from a process of its own: each connection sends the first flight of a client, for which a server pays
 * with a key exchange and a signature, and is left.
 */

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

interface Order {
  readonly host: string
  readonly port: number
  readonly perSecond: number
}

const TICK_MILLISECONDS = 5
const LIFE_MILLISECONDS = 1000
const MOST_OPEN = 4000

const [order] = (await once(process, 'message')) as [Order]
const hello = await clientHello()
const open = new Set<Socket>()
let opened = 0
let owed = 0
const timer = setInterval(() => {
  owed = Math.min(owed + (order.perSecond * TICK_MILLISECONDS) / 1000, order.perSecond)
  for (; owed >= 1 && open.size < MOST_OPEN; owed--) begin()
}, TICK_MILLISECONDS)
process.send?.({ opened })
await once(process, 'message')
clearInterval(timer)
process.send?.({ opened })
process.disconnect()
for (const socket of open) socket.destroy()

function begin(): void {
  opened++
  const socket = connect(order.port, order.host)
  open.add(socket)
  socket.on('error', () => undefined).on('close', () => open.delete(socket))
  socket.write(hello)
  setTimeout(() => socket.destroy(), LIFE_MILLISECONDS)
}

/** The bytes that Node's own client begins with. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connectTls({ host: '127.0.0.1', port, minVersion: 'TLSv1.3', ALPNProtocols: ['http/1.1'] })
  client.on('error', () => undefined)
  const [peer] = (await once(server, 'connection')) as [Socket]
  const [bytes] = (await once(peer, 'data')) as [Buffer]
  client.destroy()
  peer.destroy()
  server.close()
  return bytes
}
