import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { seeded } from '../../fuzz/chance.ts'
import { killRepeatedly } from '../../fuzz/record-kills.ts'
import { killAtPoints } from '../../fuzz/record-point-kills.ts'

const KILLS = 8

test(`after ${KILLS} kills no acknowledged entry is lost, no index was given twice, and the log verifies`, async () => {
  const root = await mkdtemp(join(tmpdir(), 'doorward-kill-'))
  const { privateKey } = generateKeyPairSync('ed25519')
  const report = await killRepeatedly({ root, privateKey, chance: seeded(20261122), goOn: (kills) => kills < KILLS })
  assert.deepEqual(report.findings, [])
  assert.equal(report.kills, KILLS)
  assert.ok(report.acknowledged > KILLS)
  await rm(root, { recursive: true })
})

test('after kills at named points, retention among them, no acknowledged entry is lost and the log verifies', async () => {
  const root = await mkdtemp(join(tmpdir(), 'doorward-points-'))
  const { privateKey } = generateKeyPairSync('ed25519')
  const goOn = (kills: number) => kills < KILLS
  const chance = seeded(20261123)
  const report = await killAtPoints({ root, privateKey, chance, entries: 3000, goOn, turns: 250 })
  assert.deepEqual(report.findings, [])
  assert.equal(report.points.size, KILLS)
  await rm(root, { recursive: true })
})
