/**
 * `npm run bench [-- --seconds N --json --profile FOLDER]` (and `-- audit`, `-- authority`, `-- policy`, `-- report`, `-- sdk`, `-- sidecar`, `-- steady`, in their folders): what a call costs, side by side, from one run. Exit 0 when
 * everything was measured, 1 when something could not be (`NOT MEASURED`), 2 for unknown arguments.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { benchAudit } from './audit/run.ts'
import { benchAuthority } from './authority/run.ts'
import { measureAll } from './measure.ts'
import { benchPolicy } from './policy/run.ts'
import { benchReport } from './report/run.ts'
import { benchSdk } from './sdk/run.ts'
import { benchSidecar } from './sidecar/run.ts'
import { benchSteady } from './steady/run.ts'
import { reportOf, textOf } from './report.ts'
import type { BenchReport, Machine } from './report.ts'
import { startSystem } from './system.ts'

const DEFAULT_SECONDS = 12
const MAXIMUM_SECONDS = 600

const [part, ...others] = process.argv.slice(2)
const parts: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  audit: benchAudit,
  authority: benchAuthority,
  policy: benchPolicy,
  report: benchReport,
  sdk: benchSdk,
  sidecar: benchSidecar,
  steady: benchSteady,
}
process.exitCode = await (parts[part ?? '']?.(others) ?? main(process.argv.slice(2)))

interface Options {
  readonly seconds: number
  readonly json: boolean
  readonly profile: string | undefined
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\nusage: npm run bench [-- --seconds N] [--json] [--profile FOLDER]`)
    return 2
  }
  const report = await run(options)
  console.log(options.json ? JSON.stringify(report, null, 2) : textOf(report))
  const complete = Object.values(report.ratios).every((value) => value !== null)
  if (!complete)
    console.error(
      'NOT MEASURED: HAProxy is not installed, the proxies from npm are not, or this system tells no CPU time',
    )
  return complete ? 0 : 1
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { seconds: { type: 'string' }, json: { type: 'boolean', default: false }, profile: { type: 'string' } },
    })
    const seconds = Number(values.seconds ?? DEFAULT_SECONDS)
    if (!(seconds > 0 && seconds <= MAXIMUM_SECONDS)) return `--seconds: expected 1 to ${MAXIMUM_SECONDS}`
    return { seconds, json: values.json, profile: values.profile }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function run({ seconds, json, profile }: Options): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack()
  const profileFolder = profile === undefined ? undefined : resolve(profile)
  if (profileFolder !== undefined) mkdirSync(profileFolder, { recursive: true })
  const shown = process.stderr.isTTY && !json
  const say = (text: string) => void (shown && process.stderr.write(`\r\u001b[K${text}`))
  say('starting')
  const system = await startSystem(stack, profileFolder === undefined ? {} : { profileFolder })
  const onRound = (round: number, rounds: number) => say(`round ${round} of ${rounds}`)
  const measurement = await measureAll(system, { seconds, onRound })
  say('')
  return reportOf(machine(), measurement)
}

function machine(): Machine {
  return {
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.versions.node,
    openssl: process.versions.openssl,
    haproxy: haproxyVersion(),
  }
}

function haproxyVersion(): string | null {
  try {
    const text = execFileSync('haproxy', ['-v'], { encoding: 'utf8' })
    return /^HAProxy version [\d.]+/.exec(text)?.[0] ?? null
  } catch {
    return null
  }
}
