/** Whose a TCP connection of this machine is, by tables as the kernel writes them. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import { clientOwner, listenerOwners } from '../../../packages/server/src/apps/sidecar/tcp-owners.ts'

interface RowParts {
  readonly local: string
  readonly remote?: string
  readonly state?: string
  readonly uid?: number
  readonly inode?: number
}

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'

function table(...rows: readonly RowParts[]) {
  const lines = rows.map(
    ({ local, remote = '00000000:0000', state = '01', uid = 1000, inode = 77 }, i) =>
      `   ${i}: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000000000000 20 4 30 10 -1`,
  )
  return { read: async () => [head, ...lines].join('\n') }
}

const client = { address: '127.0.0.1', port: 40_000 }
const from = '0100007F:9C40'
const to = '0100007F:1B59'

test('the user of a connection is that of its other end, which somebody holds', async () => {
  const own = { local: to, remote: from, uid: 0 }
  const of = (...rows: readonly RowParts[]) => clientOwner(client, 7001, table(own, ...rows))
  assert.equal(await of({ local: from, remote: to }), 1000)
  const mapped = '0000000000000000FFFF0000'
  assert.equal(await of({ local: `${mapped}${from}`, remote: `${mapped}${to}` }), 1000)
  assert.equal(await of(), null)
  assert.equal(await of({ local: from, remote: '0100007F:1B5A' }), null)
  assert.equal(await of({ local: from, remote: '0100000A:1B59' }), null)
})

test('a socket that its user has closed is nobody, though the kernel lists it as that of root', async () => {
  const of = (row: Partial<RowParts>) => clientOwner(client, 7001, table({ local: from, remote: to, uid: 0, ...row }))
  assert.equal(await of({}), 0)
  assert.equal(await of({ inode: 0 }), null)
  for (const state of ['04', '05', '06', '08', '0B']) assert.equal(await of({ state }), null, state)
})

test('two rows for one connection are nobody', async () => {
  const row = { local: from, remote: to }
  assert.equal(await clientOwner(client, 7001, table(row, { ...row, uid: 0 })), null)
})

test('whoever could answer at a port is among its owners, whatever address it listens at', async () => {
  const listens = (local: string, uid: number) => ({ local, uid, state: '0A' })
  const owners = await listenerOwners(
    7001,
    table(
      listens('0100007F:1B59', 1),
      listens('00000000:1B59', 2),
      listens(`${'0'.repeat(32)}:1B59`, 3),
      listens('0100007F:1B5A', 4),
      listens('0100000A:1B59', 5),
      { local: '0100007F:1B59', uid: 6 },
    ),
  )
  assert.deepEqual(owners, new Set([1, 2, 3]))
})

test('the kernel of this machine writes such tables', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const socket = connect({ host: '127.0.0.1', port })
  const [ours] = await accepted
  const other = { address: ours.remoteAddress ?? '', port: ours.remotePort ?? 0 }
  const uid = process.getuid?.()
  assert.equal(await clientOwner(other, port), uid)
  assert.deepEqual([...(await listenerOwners(port))], [uid])
  socket.destroy()
  await once(ours, 'close').catch(() => undefined)
  assert.equal(await clientOwner(other, port), null)
  server.close()
})
