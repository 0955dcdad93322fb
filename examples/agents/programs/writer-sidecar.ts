/** What the sidecar of `agent/writer` lets in and out: its `sidecar.yaml`, with the places of this run. */

import { join } from 'node:path'
import { placeOf } from './shop.ts'
import type { Shop } from './shop.ts'

/** Sockets between the program and its sidecar; for the environment of the program. */
export function writerSockets({ home }: Pick<Shop, 'home'>) {
  return { WRITER_SOCKET: join(home, 'run', 'writer.sock'), STOCK_SOCKET: join(home, 'run', 'stock.sock') }
}

export function writerSidecar(shop: Shop, trustDomain: string): string {
  const { identity, record } = placeOf(shop, 'agent/writer')
  const { WRITER_SOCKET, STOCK_SOCKET } = writerSockets(shop)
  const id = (path: string) => `spiffe://${trustDomain}/${path}`
  return `trust_domain: ${trustDomain}
identity: { folder: ${identity.folder}, key: ${identity.key}, join: { file: ${identity.join.file} } }
record: { folder: ${record.folder}, checkpoints: ${record.checkpoints} }
inbound:
  listen: ${new URL(shop.writer).host}
  audience: ${shop.writer}
  service: writer
  routes: ["POST /letters"]
  roles: { client: ["POST:writer/letters"] }
  bindings:
    - { role: client, workloads: ["${id('agent/planner')}", "${id('agent/buyer')}", "${id('laptop/alice')}"] }
    - { role: client, issuer: "${shop.issuer}", groups: [purchasing] }
  forward: { socket: ${WRITER_SOCKET} }
outbound:
  - { listen: { socket: ${STOCK_SOCKET} }, to: "${shop.stock}", id: "${id('service/stock')}" }
`
}
