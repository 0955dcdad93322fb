/** Faults of the database under a running store: every call ends in bounded time, and the store recovers by itself. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { defaultTimes } from '../../packages/server/src/storage/postgres/options.ts'
import type { PostgresOptions } from '../../packages/server/src/storage/postgres/options.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { openPostgresProxy } from '../fixtures/postgres-proxy.ts'
import type { PostgresProxy } from '../fixtures/postgres-proxy.ts'
import { StoreStage } from './postgres-stage.ts'

const server = await PostgresServer.start()
after(() => server.remove())

interface Fault {
  readonly begin: (proxy: PostgresProxy) => Promise<void> | void
  readonly end: (proxy: PostgresProxy) => Promise<void> | void
  /** Calls of one round of five that still succeed meanwhile. */
  readonly succeed: number
  readonly options?: Partial<PostgresOptions>
}

function fault(name: string, { begin, end, succeed, options = {} }: Fault): void {
  void test(`${name}: calls end in bounded time with store_unavailable, and the store recovers by itself`, async () => {
    const proxy = await openPostgresProxy(server.target)
    const stage = await StoreStage.open(server, { addresses: [proxy.target], ...options })
    try {
      assert.equal(await stage.burst(10), 50)
      const underWay = stage.burst(10)
      await begin(proxy)
      await underWay
      for (let round = 0; round < 2; round++) assert.equal(await stage.burst(8), 8 * succeed)
      await end(proxy)
      await stage.recovered(server)
    } finally {
      await end(proxy)
      await stage.close()
      await proxy.close()
    }
  })
}

fault('a server that stands still', {
  begin: () => server.stall(),
  end: () => server.resume(),
  succeed: 0,
  options: { times: defaultTimes },
})
fault('a server that has become read-only', {
  begin: () => server.readOnly(true),
  end: () => server.readOnly(false),
  // What only reads goes on.
  succeed: 3,
})
fault('a network that swallows everything', {
  begin: (proxy) => proxy.blackHole(true),
  end: (proxy) => proxy.blackHole(false),
  succeed: 0,
})
fault('a server that refuses connections', {
  begin: async (proxy) => {
    await proxy.refuse(true)
    proxy.cut()
  },
  end: (proxy) => proxy.refuse(false),
  succeed: 0,
})

test('a server that crashes and comes back costs what was under way, and nothing that was acknowledged', async () => {
  const stage = await StoreStage.open(server)
  for (const mode of ['immediate', 'fast'] as const) {
    const underWay = stage.burst(20)
    await server.restart(mode)
    await underWay
    await stage.recovered(server)
  }
  await stage.close()
})

test('connections that are cut while nothing is under way cost nothing', async () => {
  const proxy = await openPostgresProxy(server.target)
  const stage = await StoreStage.open(server, { addresses: [proxy.target] })
  for (let round = 0; round < 5; round++) {
    assert.equal(await stage.burst(5), 25)
    if (round % 2 === 0) proxy.cut()
    else await server.dropConnections()
    assert.equal(await stage.calls(), 5)
  }
  await stage.recovered(server)
  await stage.close()
  await proxy.close()
})

test('connections that are cut all the time cost calls, and no session too many', async () => {
  const proxy = await openPostgresProxy(server.target)
  const stage = await StoreStage.open(server, { addresses: [proxy.target] })
  for (let round = 0; round < 20; round++) {
    const underWay = stage.burst(5)
    setImmediate(() => proxy.cut())
    await underWay
    assert.ok(proxy.connections <= 4)
  }
  await stage.recovered(server)
  await stage.close()
  await proxy.close()
})

test('a server that has no connection to spare is waited for', async () => {
  const stage = await StoreStage.open(server)
  await server.dropConnections()
  const others = []
  try {
    for (;;) others.push(await server.connect())
  } catch {
    assert.ok(others.length > 10)
  }
  assert.equal(await stage.calls(), 0)
  await Promise.all(others.map((client) => client.end()))
  await stage.recovered(server)
  await stage.close()
})
