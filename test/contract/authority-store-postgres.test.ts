/** The authority's store contract on a real PostgreSQL server. */

import { after } from 'node:test'
import { epochMillis } from '@doorward/core'
import { openPostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import type { PostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'
import { authorityStoreContract } from './authority-store.ts'

const server = await PostgresServer.start()
after(() => server.remove())

authorityStoreContract('postgresql', async () => {
  const database = await server.createDatabase()
  const opened: PostgresAuthorityStore[] = []
  const open = async () => {
    const store = await openPostgresAuthorityStore(storeOptions(server, { database }), { create: true })
    opened.push(store)
    return store
  }
  return {
    store: await open(),
    another: open,
    now: () => epochMillis(Date.now()),
    // The store goes by its own clock: what it has seen moves into the past.
    elapse: async (milliseconds) => {
      await server.query(`UPDATE doorward.authorities SET seen_at = seen_at - ${milliseconds}`, database)
    },
    close: async () => {
      for (const store of opened) await store.close()
    },
  }
})
