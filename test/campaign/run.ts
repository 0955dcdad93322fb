/**
 * `npm run campaign [-- --only NAME] [--part N/M] [--seed N] [--count N] [--seconds N] [--report FILE]`: the full counts, or
 * what fits into so many seconds for each part. `--only load` runs all parts of which the name begins so. `--part 3/8` runs an
 * eighth of the controls, or of the probe, and its report keeps the other eighths; it takes no --count. Exit 0 when nothing was found, 1 on any finding, 2 for
 * unknown arguments. Without --only the report goes to docs/reports/campaign.md.
 */

import { spawnSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { authorityKills, authorityKillsPostgres } from './authority-kills.ts'
import { certificates } from './certificates.ts'
import { disabledControls } from './controls.ts'
import { jsonScanner } from './json-scanner.ts'
import { loadParts } from './load.ts'
import type { Part } from './part.ts'
import { policy } from './policy.ts'
import { policyRoles } from './policy-roles.ts'
import { probedBuilds } from './probe.ts'
import { recordKills } from './record-kills.ts'
import { recordPointKills } from './record-points.ts'
import { reportText } from './report.ts'
import type { FinishedPart } from './report.ts'
import { requestHeads } from './request-heads.ts'
import { rollingRestart } from './rolling-restart.ts'
import { shippedProbed } from './shipped.ts'
import { gathered, isInShare, namesDone, shareAsked } from './share.ts'
import type { Share } from './share.ts'
import { tokens } from './tokens.ts'

const parts: readonly Part[] = [
  recordKills,
  recordPointKills,
  authorityKills,
  authorityKillsPostgres,
  jsonScanner,
  tokens,
  certificates,
  policy,
  policyRoles,
  requestHeads,
  ...loadParts,
  rollingRestart,
  disabledControls,
  probedBuilds,
  shippedProbed,
]
const usualReport = join(import.meta.dirname, '../../docs/reports/campaign.md')
const usualSeed = 20_261_122
const PROGRESS_MILLISECONDS = 500

process.exitCode = await main(process.argv.slice(2))

interface Arguments {
  readonly chosen: readonly Part[]
  readonly seed: number
  readonly count: number | null
  /** For each part; its own by default. */
  readonly seconds: number | null
  readonly report: string | null
  readonly share: Share | null
}

async function main(args: readonly string[]): Promise<number> {
  const parsed = readArguments(args)
  if (typeof parsed === 'string') {
    const names = parts.map(({ name }) => name).join('|')
    console.error(
      `${parsed}\nusage: npm run campaign [-- --only ${names}] [--part N/M] [--seed N] [--count N] [--seconds N] [--report FILE]`,
    )
    return 2
  }
  const finished: FinishedPart[] = []
  for (const part of parsed.chosen) {
    const result = await runPart(part, parsed)
    finished.push(result)
    console.log(lineOf(result))
    for (const finding of result.report.findings) console.log(`  finding: ${finding}`)
  }
  if (parsed.report !== null) await writeReport(parsed.report, parsed, finished)
  const failed = finished.filter(({ report }) => report.findings.length > 0).length
  console.log(`\n${finished.length - failed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

async function writeReport(file: string, { share }: Arguments, finished: readonly FinishedPart[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const [first] = finished
  if (share === null || first === undefined) return writeFile(file, reportText(finished))
  const before = await readFile(file, 'utf8').catch(() => '')
  const { part, wanted, seconds, report } = first
  const { done, findings, facts } = report
  const begun = new Date(Date.now() - seconds * 1000)
  const names = namesDone(part, report, share)
  const run = { part: part.name, share, revision: revision(), begun, seconds, done, wanted, names, findings, facts }
  await writeFile(file, gathered(before, run, part.rule))
}

function revision(): string {
  const git = (...words: string[]) => spawnSync('git', words, { cwd: import.meta.dirname, encoding: 'utf8' })
  const { status, stdout } = git('rev-parse', '--short', 'HEAD')
  if (status !== 0) return 'an unknown revision'
  const changed = git('status', '--porcelain', '--', ':/packages', ':/test', ':/examples').stdout !== ''
  return `${stdout.trim()}${changed ? '+' : ''}`
}

function readArguments(args: readonly string[]): Arguments | string {
  try {
    const text = { type: 'string' } as const
    const { values } = parseArgs({
      args: [...args],
      options: { only: text, part: text, seed: text, count: text, seconds: text, report: text },
    })
    const { only, report } = values
    const chosen = parts.filter(({ name }) => only === undefined || name === only || name.startsWith(`${only}-`))
    if (chosen.length === 0) return `no part is called ${only}`
    const share = shareAsked(values, chosen)
    if (typeof share === 'string') return share
    const seed = Number(values.seed ?? usualSeed)
    const count = values.count === undefined ? null : Number(values.count)
    const seconds = values.seconds === undefined ? null : Number(values.seconds)
    const wrong = [count, seconds].some((value) => value !== null && !(value > 0))
    if (!Number.isSafeInteger(seed) || wrong) return '--seed, --count and --seconds: expected numbers'
    const usual = only === undefined && count === null && seconds === null ? usualReport : null
    return { chosen, seed, count, seconds, report: report === undefined ? usual : resolve(report), share }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function runPart(part: Part, { seed, count, seconds: most, share }: Arguments): Promise<FinishedPart> {
  const shared = share === null ? part.count : (part.names ?? []).filter((name) => isInShare(name, share)).length
  const wanted = count ?? shared
  const limitSeconds = most ?? part.maximumSeconds
  const begun = performance.now()
  const seconds = () => (performance.now() - begun) / 1000
  let shownAt = 0
  const goOn = (done: number): boolean => {
    if (process.stderr.isTTY && performance.now() - shownAt > PROGRESS_MILLISECONDS) {
      shownAt = performance.now()
      process.stderr.write(`\r\u001b[K${part.name}: ${done.toLocaleString('en')} of ${wanted.toLocaleString('en')}`)
    }
    return done < wanted && seconds() < limitSeconds
  }
  const report = await part.run({ seed, count: wanted, goOn, share })
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  return { part, seed, wanted, seconds: seconds(), limitSeconds, report }
}

function lineOf({ part, seed, wanted, seconds, report }: FinishedPart): string {
  const found = report.findings.length === 0 ? 'nothing found' : `${report.findings.length} FINDINGS`
  const share = `${report.done.toLocaleString('en')} of ${wanted.toLocaleString('en')}`
  return `${part.name}: ${share}, ${found}, ${Math.round(seconds)} s, seed ${seed}`
}
