/** A database that fails over to its replica: nothing that was acknowledged is lost, and nothing is read from a replica. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { PostgresServer } from '../fixtures/postgres.ts'
import { openPostgresProxy } from '../fixtures/postgres-proxy.ts'
import { StoreStage } from './postgres-stage.ts'

const servers: PostgresServer[] = []
after(() => Promise.all(servers.map((server) => server.remove())))

async function pair(): Promise<readonly [PostgresServer, PostgresServer]> {
  const primary = await PostgresServer.start()
  servers.push(primary)
  const replica = await primary.replica()
  servers.push(replica)
  return [primary, replica]
}

test('a store that knows both servers follows the one that takes writes', async () => {
  const [primary, replica] = await pair()
  const stage = await StoreStage.open(primary, { addresses: [replica.target, primary.target] })
  assert.equal(await replica.sessions(stage.applicationName), 0)
  const underWay = stage.burst(20)
  await primary.stop('immediate')
  await underWay
  assert.equal(await stage.burst(3), 0)
  await replica.promote()
  await stage.recovered(replica)
  await stage.close()
})

test('a store whose one address moves to the promoted replica goes on there', async () => {
  const [primary, replica] = await pair()
  const proxy = await openPostgresProxy(primary.target)
  const stage = await StoreStage.open(primary, { addresses: [proxy.target] })
  assert.equal(await stage.burst(10), 50)
  proxy.redirect(replica.target)
  assert.equal(await stage.burst(3), 0)
  await primary.stop('immediate')
  await replica.promote()
  await stage.recovered(replica)
  await stage.close()
  await proxy.close()
})
