/** A role that may use a few items of a server: the official clients see exactly those, and learn nothing of the others. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listeningBridge } from '../fixtures/listening-bridge.ts'
import type { ListeningBridge } from '../fixtures/listening-bridge.ts'
import { openV1, openV2 } from '../fixtures/official-peers.ts'
import type { OpenPeer, Way } from '../fixtures/official-peers.ts'
import { startOfficialServers } from '../fixtures/official-servers.ts'
import type { OfficialServers } from '../fixtures/official-servers.ts'
import { textOf } from './client-suite.ts'

const opened = new AsyncDisposableStack()
let servers: OfficialServers
let listening: ListeningBridge
before(async () => {
  servers = await startOfficialServers({ agents: ['narrow'] })
  opened.defer(() => servers.close())
  listening = await listeningBridge(servers.system, 'everything', 'agent/narrow')
  opened.defer(() => listening.close())
})
after(() => opened.disposeAsync())

const stdio = () => servers.system.launch(['connect', 'everything', '--as', 'agent/narrow'])
const clients: readonly (readonly [name: string, way: () => Way, open: (way: Way) => Promise<OpenPeer>])[] = [
  ['client 2.4', stdio, (way) => openV2(way)],
  ['sdk 1.32', stdio, (way) => openV1(way)],
  ['client 2.4, over HTTP,', () => new URL(listening.url), (way) => openV2(way)],
  ['sdk 1.32, over HTTP,', () => new URL(listening.url), (way) => openV1(way)],
]

for (const [name, way, open] of clients) {
  test(`${name} sees and uses exactly what its role names`, async (t) => {
    const peer = await open(way())
    const { client } = peer
    t.after(() => peer.close())
    assert.deepEqual((await client.listTools()).tools.map((tool) => tool.name).toSorted(), ['echo', 'get-sum'])
    assert.deepEqual(
      (await client.listPrompts()).prompts.map((prompt) => prompt.name),
      ['simple-prompt'],
    )
    assert.deepEqual((await client.listResources()).resources, [])
    assert.deepEqual(
      (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate),
      ['demo://resource/dynamic/text/{resourceId}'],
    )
    assert.match(textOf(await peer.call('echo', { message: 'seen' })), /seen/)
    assert.equal((await client.getPrompt({ name: 'simple-prompt' })).messages.length, 1)
    assert.equal((await client.readResource({ uri: 'demo://resource/dynamic/text/3' })).contents.length, 1)
  })

  test(`${name} gets one answer for what is hidden and what does not exist`, async (t) => {
    const peer = await open(way())
    const { client } = peer
    t.after(() => peer.close())
    const pairs: readonly (readonly [ask: (name: string) => Promise<unknown>, hidden: string, missing: string])[] = [
      [(tool) => peer.call(tool, {}), 'get-env', 'get-moon'],
      [(prompt) => client.getPrompt({ name: prompt }), 'args-prompt', 'moon-prompt'],
      [(uri) => client.readResource({ uri }), 'demo://resource/dynamic/blob/1', 'demo://resource/dynamic/moon/1'],
      [(uri) => client.subscribeResource({ uri }), 'demo://resource/dynamic/blob/1', 'demo://resource/dynamic/moon/1'],
      [
        (prompt) =>
          client.complete({ ref: { type: 'ref/prompt', name: prompt }, argument: { name: 'department', value: 'E' } }),
        'completable-prompt',
        'moon-prompt',
      ],
      [
        (uri) => client.complete({ ref: { type: 'ref/resource', uri }, argument: { name: 'resourceId', value: '7' } }),
        'demo://resource/dynamic/blob/{resourceId}',
        'demo://resource/dynamic/moon/{resourceId}',
      ],
    ]
    for (const [ask, hidden, missing] of pairs) {
      const answer = await answerOf(ask, hidden)
      assert.match(answer, /policy_denied/, hidden)
      assert.equal(answer, await answerOf(ask, missing), `${hidden} ${missing}`)
    }
  })
}

/** The whole answer, with its own name and the number of its decision taken out. */
async function answerOf(ask: (name: string) => Promise<unknown>, name: string): Promise<string> {
  const answer = await ask(name).catch((error: Error & { code?: unknown; data?: unknown }) => {
    const { message, code, data } = error
    return { message, code, data }
  })
  return JSON.stringify(answer)
    .replaceAll(name, 'NAME')
    .replaceAll(/gateway\/main#\d+/g, 'DECISION')
}
