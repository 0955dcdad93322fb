/** Two authorities on PostgreSQL are killed at moments of chance, and nothing that anybody was told is lost. */

import { test } from 'node:test'
import { killSample } from '../fixtures/authority/kill-sample.ts'
import { PostgresServer } from '../fixtures/postgres.ts'

test('OP-6: two authorities on PostgreSQL that are killed again and again lose nothing that anybody was told', async () => {
  const server = await PostgresServer.start()
  try {
    await killSample(20_261_123, server)
  } finally {
    await server.stop('fast')
  }
})
