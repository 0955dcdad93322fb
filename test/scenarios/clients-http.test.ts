/** The official clients over streamable HTTP, through `connect --listen`, gateway and authority as processes. */

import { after, before } from 'node:test'
import { listeningBridge } from '../fixtures/listening-bridge.ts'
import type { ListeningBridge } from '../fixtures/listening-bridge.ts'
import { openV1, openV2 } from '../fixtures/official-peers.ts'
import { startOfficialServers } from '../fixtures/official-servers.ts'
import type { OfficialServers } from '../fixtures/official-servers.ts'
import { everythingWorks } from './client-suite.ts'

let servers: OfficialServers
let local: ListeningBridge
let remote: ListeningBridge
before(async () => {
  servers = await startOfficialServers({ agents: ['trusted'], remote: true })
  local = await listeningBridge(servers.system, 'everything', 'agent/trusted')
  remote = await listeningBridge(servers.system, 'remote', 'agent/trusted')
})
after(async () => {
  await local.close()
  await remote.close()
  await servers.close()
})

everythingWorks('client 2.4, over HTTP,', () => openV2(new URL(local.url)))
everythingWorks('sdk 1.32, over HTTP,', () => openV1(new URL(local.url)))
everythingWorks('client 2.4, over HTTP on both sides,', () => openV2(new URL(remote.url)))
everythingWorks('client 2.4, over HTTP on both sides and probing for the newest protocol first,', () =>
  openV2(new URL(remote.url), 'auto'),
)
everythingWorks('sdk 1.32, over HTTP on both sides,', () => openV1(new URL(remote.url)))
