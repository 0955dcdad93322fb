/** Ways to servers that are prepared beside those that serve: what cannot be opened whole leaves nothing open. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { liveServers } from '../../../packages/server/src/apps/live-servers.ts'

type Parts = Parameters<typeof liveServers>[0]
type Settings = Parameters<ReturnType<typeof liveServers>['prepare']>[0]

test('a server that cannot be opened whole leaves nothing of it open, nor of those before it', async () => {
  const open = new Set<string>()
  const nothing = () => undefined
  let listeners = 0
  const parts = {
    live: { current: { servers: {} } },
    pipeline: { dependencies: { decisions: {}, trust: {} } },
    identity: { trustStore: { onAccept: () => (listeners++, () => listeners--) } },
    definitions: {
      open: async (name: string) => (open.add(name), { gate: null, close: async () => open.delete(name) }),
      hold: nothing,
      forget: nothing,
    },
    log: {},
    warn: nothing,
  } as object as Parts
  const effects = { read: [], write: [], admin: [] }
  const server = { kind: 'http', insecureUpstream: false, identity: 'spiffe://test.example/server/x', effects }
  const good = { ...server, url: 'https://127.0.0.1:1/mcp' }
  const servers = liveServers(parts)
  const settings = (all: object) => ({ publicUrl: 'https://gateway.test.example', servers: all }) as object as Settings
  await rejects(servers.prepare(settings({ good, bad: { ...server, url: 'http://127.0.0.1:1/mcp' } })), {
    code: 'upstream_url_invalid',
  })
  deepEqual([listeners, [...open]], [0, []])
  servers.take(await servers.prepare(settings({ good })))
  deepEqual([listeners, [...open]], [1, ['good']])
  await servers.close()
  deepEqual([listeners, [...open]], [0, []])
  equal(servers.ways.size, 0)
})
