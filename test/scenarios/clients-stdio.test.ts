/** The official clients behind a stdio bridge, against official servers behind a real gateway and authority. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openV1, openV2 } from '../fixtures/official-peers.ts'
import type { OpenPeer, Result, Way } from '../fixtures/official-peers.ts'
import { startOfficialServers } from '../fixtures/official-servers.ts'
import type { OfficialServers } from '../fixtures/official-servers.ts'
import { everythingWorks, recordTellsOfCancelled, textOf } from './client-suite.ts'

const opened = new AsyncDisposableStack()
let servers: OfficialServers
before(async () => {
  servers = await startOfficialServers({ agents: ['trusted', 'reader'], remote: true })
  opened.defer(() => servers.close())
})
after(() => opened.disposeAsync())

const bridge = (server: string, as: string) => servers.system.launch(['connect', server, '--as', as])
const clients: readonly (readonly [name: string, open: (way: Way) => Promise<OpenPeer>])[] = [
  ['client 2.4', (way) => openV2(way)],
  ['client 2.4, probing for the newest protocol first', (way) => openV2(way, 'auto')],
  ['sdk 1.32', (way) => openV1(way)],
]

for (const [name, open] of clients) {
  everythingWorks(name, () => open(bridge('everything', 'agent/trusted')))

  test(`${name} reads files and is denied what its role does not allow`, async (t) => {
    const peer = await open(bridge('files', 'agent/reader'))
    t.after(() => peer.close())
    const names = (await peer.client.listTools()).tools.map((tool) => tool.name)
    assert.ok(names.includes('read_text_file'))
    assert.ok(!names.includes('write_file'))
    const path = join(servers.documents, 'notes.md')
    assert.match(textOf(await peer.call('read_text_file', { path })), /the door is shut/)
    const denied = await peer.call('write_file', { path, content: 'opened' })
    assert.equal(denied['isError'], true)
    assert.equal((denied['_meta'] as Result)['doorward/code'], 'policy_denied')
  })
}

everythingWorks('client 2.4, with a server behind streamable HTTP,', () => openV2(bridge('remote', 'agent/trusted')))

test('the record tells of each cancelled call', () => recordTellsOfCancelled(servers.system, 4))
