/** Authorities under kill -9 while everybody works with them: at every named effect once, and at moments of chance. */

import { pointsOf } from '../fixtures/authority/kill-effects.ts'
import { KillRun } from '../fixtures/authority/kill-run.ts'
import type { KillReport } from '../fixtures/authority/kill-run.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { seeded } from '../fuzz/chance.ts'
import type { Assignment, Part, PartReport } from './part.ts'

/** Of the kills by chance, those of one authority on its own file; the others meet two on PostgreSQL. */
const fileShare = 0.6

async function run({ seed, count, goOn }: Assignment): Promise<PartReport> {
  const onFile = Math.ceil(count * fileShare)
  const server = await PostgresServer.start()
  try {
    const file = await killsOf(seed, { server: null, goOn: (done) => done < onFile && goOn(done) })
    const shared = await killsOf(seed + 1, { server, goOn: (done) => goOn(onFile + done) })
    return {
      done: file.random + shared.random,
      findings: [...file.report.findings, ...shared.report.findings],
      facts: { ...factsOf('one authority on a file', file), ...factsOf('two on PostgreSQL', shared) },
    }
  } finally {
    await server.stop('fast')
  }
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

function factsOf(where: string, { report, random, unreached }: Kills): PartReport['facts'] {
  const starts = report.starts.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(starts[Math.floor((starts.length - 1) * share)] ?? 0)
  const ceremonies = [...report.ceremonies].map(([name, times]) => `${name} ${times}`).join(', ')
  const lists = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(', '))
  return {
    [`${where}: killed at named points`]: report.kills - random,
    [`${where}: killed by chance`]: random,
    [`${where}: named points never reached`]: lists(unreached),
    [`${where}: serials on record`]: report.serials,
    [`${where}: certificates, tokens, denials that clients hold, and trust states`]: [
      report.certificates,
      report.tokens,
      report.denials,
      report.states,
    ].join(', '),
    [`${where}: record entries verified`]: report.entries,
    [`${where}: ceremonies that ended`]: ceremonies === '' ? 'none' : ceremonies,
    [`${where}: start after a kill, median and slowest`]: `${at(0.5)} ms, ${at(1)} ms, Node's own start included`,
  }
}

export const authorityKills: Part = {
  name: 'authority-kills',
  rule: 'what a client was handed stays valid until its end, what was denied stays denied, no serial is used twice, every ceremony ends, and the log verifies',
  count: 300,
  maximumSeconds: 3600,
  run,
}
