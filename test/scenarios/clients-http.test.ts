/** The official clients over streamable HTTP, through `connect --listen`, gateway and authority as processes. */

import { after, before, test } from 'node:test'
import { listeningBridge } from '../fixtures/listening-bridge.ts'
import type { ListeningBridge } from '../fixtures/listening-bridge.ts'
import { openV1, openV2 } from '../fixtures/official-peers.ts'
import { startOfficialServers } from '../fixtures/official-servers.ts'
import type { OfficialServers } from '../fixtures/official-servers.ts'
import { everythingWorks, recordTellsOfCancelled } from './client-suite.ts'

const opened = new AsyncDisposableStack()
let servers: OfficialServers
let local: ListeningBridge
let remote: ListeningBridge
before(async () => {
  servers = await startOfficialServers({ agents: ['trusted'], remote: true })
  opened.defer(() => servers.close())
  local = await listeningBridge(servers.system, 'everything', 'agent/trusted')
  opened.defer(() => local.close())
  remote = await listeningBridge(servers.system, 'remote', 'agent/trusted')
  opened.defer(() => remote.close())
})
after(() => opened.disposeAsync())

everythingWorks('client 2.4, over HTTP,', () => openV2(new URL(local.url)))
everythingWorks('sdk 1.32, over HTTP,', () => openV1(new URL(local.url)))
everythingWorks('client 2.4, over HTTP on both sides,', () => openV2(new URL(remote.url)))
everythingWorks('client 2.4, over HTTP on both sides and probing for the newest protocol first,', () =>
  openV2(new URL(remote.url), 'auto'),
)
everythingWorks('sdk 1.32, over HTTP on both sides,', () => openV1(new URL(remote.url)))

test('the record tells of each cancelled call', () => recordTellsOfCancelled(servers.system, 5))
