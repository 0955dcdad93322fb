/** The official client of 2026-07-28, by both forms of `connect`, gateway and authority as processes, at an official server. */

import { deepEqual, equal, match, rejects } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestDeployment } from '../fixtures/deployment.ts'
import { listeningBridge } from '../fixtures/listening-bridge.ts'
import type { ListeningBridge } from '../fixtures/listening-bridge.ts'
import { officialModernServer } from '../fixtures/official-modern-server.ts'
import type { OfficialModernServer } from '../fixtures/official-modern-server.ts'
import { openModern } from '../fixtures/official-peers.ts'
import type { ModernPeer, Way } from '../fixtures/official-peers.ts'

const limit = { timeout: 30_000 }
const opened = new AsyncDisposableStack()
let server: OfficialModernServer
let system: TestDeployment
let bridge: ListeningBridge
before(async () => {
  server = await officialModernServer()
  opened.defer(() => server.close())
  system = await TestDeployment.start({ yaml: configuration(server.url) })
  opened.defer(() => system.remove())
  ;(await system.identity('agent/modern')).close()
  bridge = await listeningBridge(system, 'notes', 'agent/modern')
  opened.defer(() => bridge.close())
})
after(() => opened.disposeAsync())

function configuration(url: string): string {
  return `servers:
  notes: { url: "${url}", insecure_upstream: true, effects: { read: ["read_*"] } }
roles:
  reader: ["read:notes/*"]
bindings:
  - { role: reader, workloads: ["spiffe://test.example/agent/modern"] }
`
}

const ways: readonly (readonly [name: string, way: () => Way])[] = [
  ['over HTTP', () => new URL(bridge.url)],
  ['over standard input and output', () => system.launch(['connect', 'notes', '--as', 'agent/modern'])],
]

for (const [name, way] of ways) {
  test(`client 2.4 of the modern era, ${name}`, limit, async (t) => {
    const peer: ModernPeer = await openModern(way())
    t.after(() => peer.close())
    await t.test('lists what it may call, and calls it', async () => {
      equal(peer.version, '2026-07-28')
      deepEqual((await peer.toolNames()).toSorted(), ['read_asking', 'read_echo', 'read_marked', 'read_slow'])
      match(await peer.text('read_echo', { said: 'through two doors' }), /through two doors/)
    })
    await t.test('repeats in headers what the schema marks', async () => {
      match(await peer.text('read_marked', { region: 'eu – west' }), /in eu – west/)
    })
    await t.test('is asked, and answers with the state that it was given', async () => {
      match(await peer.text('read_asking'), /answered .*Ada.* after a state/)
    })
    await t.test('is denied what it may not call', async () => {
      const denied = await peer.call('write_note')
      equal(denied['isError'], true)
    })
    await t.test('hears of changes that it listens for', async () => {
      const subscription = await peer.listen({ toolsListChanged: true, resourceSubscriptions: ['note://open'] })
      server.notify.resourceUpdated('note://open')
      server.notify.toolsChanged()
      await peer.heard('notifications/resources/updated')
      await peer.heard('notifications/tools/list_changed')
      await subscription.close()
    })
    await t.test('cancels a call, at its server too', async () => {
      const before = server.slow.cancelled
      const stop = new AbortController()
      const call = peer.call('read_slow', {}, stop.signal)
      call.catch(() => undefined)
      while (server.slow.running === 0) await sleep(5)
      stop.abort()
      await rejects(call)
      while (server.slow.cancelled === before) await sleep(5)
      match(await peer.text('read_echo', { said: 'still here' }), /still here/)
    })
  })
}

test(
  'the record has an outcome for each call that was allowed, and tells of those that were cancelled',
  limit,
  async () => {
    for (;;) {
      const record = await system.record()
      const outcomes = record.filter(({ entry }) => entry.kind === 'outcome')
      const outcomeOf = new Map(outcomes.map(({ entry }) => [entry.body['of'], entry.body['status']]))
      const mine = record.filter(
        ({ entry }) => entry.body['decision'] === 'allow' && String(entry.body['caller']).endsWith('agent/modern'),
      )
      const slow = mine.filter(({ entry }) => JSON.stringify(entry.body['resource']).includes('read_slow'))
      if (slow.length < ways.length || mine.some(({ index }) => !outcomeOf.has(index))) {
        await sleep(50)
        continue
      }
      deepEqual(
        slow.map(({ index }) => outcomeOf.get(index)),
        ['cancelled', 'cancelled'],
      )
      return
    }
  },
)
