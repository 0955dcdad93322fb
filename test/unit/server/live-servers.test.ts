/** Ways to servers that are prepared beside those that serve: what cannot be opened whole leaves nothing open. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { GatewayDefinitions } from '../../../packages/server/src/apps/gateway-definitions.ts'
import { liveBackends, liveServers } from '../../../packages/server/src/apps/live-servers.ts'

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

test('a name that moves from the agents to the servers in one change, or back, keeps what is approved of who has it now', async () => {
  const definitions = new GatewayDefinitions({} as object as ConstructorParameters<typeof GatewayDefinitions>[0])
  const nothing = () => undefined
  const parts = {
    live: { current: { servers: {} } },
    pipeline: { dependencies: { decisions: {}, trust: {} } },
    identity: { trust: {} },
    definitions: {
      open: async () => ({ gate: null, close: async () => undefined }),
      hold: definitions.hold.bind(definitions),
      forget: definitions.forget.bind(definitions),
    },
    handleKey: new Uint8Array(32),
    log: {},
    warn: nothing,
  } as object as Parameters<typeof liveServers>[0] & Parameters<typeof liveBackends>[0]
  const [servers, backends] = [liveServers(parts), liveBackends(parts)]
  const both = async (all: object) => {
    const settings = {
      publicUrl: 'https://gateway.test.example',
      servers: {},
      backends: {},
      ...all,
    } as object as Settings
    const [first, second] = [await backends.prepare(settings), await servers.prepare(settings)]
    servers.take(second)
    backends.take(first)
    return [servers.ways.get('planner'), backends.ways.get('planner')].map((way) => way?.approved)
  }
  const url = 'https://127.0.0.1:1/'
  const asked = { requestHeaders: [], answerHeaders: [], answerBytes: 1, methods: ['POST'], insecureUpstream: false }
  const agent = { ...asked, url, speaks: { kind: 'a2a', card: '/card' } }
  const effects = { read: [], write: [], admin: [] }
  const server = { kind: 'http', insecureUpstream: false, identity: 'spiffe://test.example/server/x', effects, url }
  const { find } = definitions.port()
  const [, ofAgent] = await both({ backends: { planner: agent } })
  ok(ofAgent)
  equal(find('planner'), ofAgent)
  const [ofServer] = await both({ servers: { planner: { ...server, identity: undefined } } })
  ok(ofServer)
  equal(find('planner'), ofServer)
  const [, again] = await both({ backends: { planner: agent } })
  equal(find('planner'), again)
  await both({})
  equal(find('planner'), null)
  await Promise.all([servers.close(), backends.close()])
})
