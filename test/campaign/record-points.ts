/** The record of a million entries under kill -9, at every point of its disk. */

import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seeded } from '../fuzz/chance.ts'
import { killAtPoints } from '../fuzz/record-point-kills.ts'
import { recordPoints } from '../fuzz/record-points.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const ENTRIES = 1_000_000
const MOST_TO_OPEN_MILLISECONDS = 2000

async function run({ seed, goOn }: Assignment): Promise<PartReport> {
  const root = await mkdtemp(join(tmpdir(), 'doorward-points-'))
  try {
    const { privateKey } = generateKeyPairSync('ed25519')
    const chance = seeded(seed)
    const report = await killAtPoints({ root, privateKey, chance, entries: ENTRIES, goOn, turns: 35 })
    const opened = report.opened.toSorted((a, b) => a - b)
    const slowest = opened.at(-1) ?? 0
    const slow =
      slowest > MOST_TO_OPEN_MILLISECONDS ? [`the log took ${Math.round(slowest)} ms to open after a kill`] : []
    const never = recordPoints.filter((point) => !report.points.has(point))
    return {
      done: report.kills,
      findings: [...report.findings, ...slow],
      facts: {
        'entries at first': ENTRIES,
        'entries in the end': report.entries,
        'of these expired': report.expired,
        'entries acknowledged': report.acknowledged,
        'points never reached': never.join(', ') || 'none',
        'opened after a kill': `${Math.round(opened[opened.length >> 1] ?? 0)} ms at the median, ${Math.round(slowest)} ms at most`,
      },
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

export const recordPointKills: Part = {
  name: 'record-points',
  rule: 'no acknowledged entry is lost, no index is given twice, what expired was meant to, the log verifies and opens within 2 s',
  count: 1000,
  maximumSeconds: 1500,
  run,
}
