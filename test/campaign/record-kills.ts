/** The record under kill -9. */

import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seeded } from '../fuzz/chance.ts'
import { killRepeatedly } from '../fuzz/record-kills.ts'
import type { Assignment, Part, PartReport } from './part.ts'

async function run({ seed, goOn }: Assignment): Promise<PartReport> {
  const root = await mkdtemp(join(tmpdir(), 'doorward-kills-'))
  try {
    const { privateKey } = generateKeyPairSync('ed25519')
    const report = await killRepeatedly({ root, privateKey, chance: seeded(seed), goOn })
    return {
      done: report.kills,
      findings: report.findings,
      facts: {
        'entries acknowledged': report.acknowledged,
        'slowest start of a writer after a kill': `${Math.round(report.slowestStartMilliseconds)} ms, Node's own start included`,
      },
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

export const recordKills: Part = {
  name: 'record-kills',
  rule: 'no acknowledged entry is lost, no index is given twice, and the log verifies',
  count: 1000,
  maximumSeconds: 600,
  run,
}
