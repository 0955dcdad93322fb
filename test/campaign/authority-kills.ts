/** Authorities under kill -9 while everybody works with them: at every named effect once, and at moments of chance. */

import { pointsOf } from '../fixtures/authority/kill-effects.ts'
import { KillRun } from '../fixtures/authority/kill-run.ts'
import type { KillReport } from '../fixtures/authority/kill-run.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { seeded } from '../fuzz/chance.ts'
import type { Assignment, Part, PartReport } from './part.ts'

function onFile({ seed, goOn }: Assignment): Promise<PartReport> {
  return reportOf(seed, { server: null, goOn })
}

async function onPostgres({ seed, goOn }: Assignment): Promise<PartReport> {
  const server = await PostgresServer.start()
  try {
    return await reportOf(seed + 1, { server, goOn })
  } finally {
    await server.stop('fast')
  }
}

async function reportOf(seed: number, options: KillsOptions): Promise<PartReport> {
  const kills = await killsOf(seed, options)
  return { done: kills.random, findings: kills.report.findings, facts: factsOf(kills) }
}

interface Kills {
  readonly report: KillReport
  /** By chance, beside those at named points. */
  readonly random: number
  readonly unreached: readonly string[]
}

interface KillsOptions {
  readonly server: PostgresServer | null
  readonly goOn: (random: number) => boolean
}

async function killsOf(seed: number, { server, goOn }: KillsOptions): Promise<Kills> {
  const named = { over: false, kills: 0 }
  const counted = (kills: number) => (named.over ? goOn(kills - named.kills) : goOn(0))
  const kills = await KillRun.open({ chance: seeded(seed), server, goOn: counted })
  const unreached = await kills.atEvery(pointsOf('load', 'start'))
  named.over = true
  named.kills = kills.kills
  await kills.atRandom()
  const report = await kills.close()
  return { report, random: report.kills - named.kills, unreached }
}

function factsOf({ report, random, unreached }: Kills): PartReport['facts'] {
  const starts = report.starts.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(starts[Math.floor((starts.length - 1) * share)] ?? 0)
  const ceremonies = [...report.ceremonies].map(([name, times]) => `${name} ${times}`).join(', ')
  const lists = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(', '))
  return {
    'killed at named points': report.kills - random,
    'killed by chance': random,
    'named points never reached': lists(unreached),
    'serials on record': report.serials,
    'certificates, tokens, denials that clients hold, and trust states': [
      report.certificates,
      report.tokens,
      report.denials,
      report.states,
    ].join(', '),
    'record entries verified': report.entries,
    'ceremonies that ended': ceremonies === '' ? 'none' : ceremonies,
    'start after a kill, median and slowest': `${at(0.5)} ms, ${at(1)} ms, Node's own start included`,
  }
}

const rule =
  'what a client was handed stays valid until its end, what was denied stays denied, no serial is used twice, every ceremony ends, and the log verifies'

/** One authority on a file of its own. */
export const authorityKills: Part = {
  name: 'authority-kills',
  rule,
  count: 180,
  maximumSeconds: 3600,
  run: onFile,
}

/** Two authorities on PostgreSQL. */
export const authorityKillsPostgres: Part = {
  name: 'authority-kills-postgres',
  rule,
  count: 120,
  maximumSeconds: 3600,
  run: onPostgres,
}
