/** A sample of `npm run campaign -- --only authority-kills`: authorities are killed at moments of chance, and nothing that anybody was told is lost. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KillRun } from '../fixtures/authority/kill-run.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { seeded } from '../fuzz/chance.ts'

const KILLS = 8
const MILLISECONDS = 40_000

test('CA-5, OP-6: an authority that is killed again and again loses nothing that anybody was told', async () => {
  await sample(20_261_122, null)
})

test('OP-6: nor do two authorities on PostgreSQL', async () => {
  const server = await PostgresServer.start()
  try {
    await sample(20_261_123, server)
  } finally {
    await server.stop('fast')
  }
})

async function sample(seed: number, server: PostgresServer | null): Promise<void> {
  const begun = performance.now()
  const goOn = (kills: number) => kills < KILLS && performance.now() - begun < MILLISECONDS
  const run = await KillRun.open({ chance: seeded(seed), server, goOn })
  await run.atRandom()
  const report = await run.close()
  assert.deepEqual(report.findings, [])
  assert.ok(report.kills >= KILLS / 2, `${report.kills} kills`)
  assert.ok(report.certificates > KILLS && report.tokens > KILLS && report.states > KILLS)
}
