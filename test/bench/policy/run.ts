/**
 * `npm run bench -- policy [--rounds N] [--json] [--only doorward]`: what one decision takes, from the whole request to the
 * verdict, with more policies and with more that apply, beside Cedar's official build and casbin; and what a change of
 * policy takes. Exit 0 when everything was measured and all engines said the same, 2 for unknown arguments.
 */

import { availableParallelism, cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { changeTo } from './change.ts'
import { openCasbin, openDoorward, openOfficial } from './engines.ts'
import type { Shape } from './population.ts'
import { textOf } from './report.ts'
import type { PolicyReport, Row } from './report.ts'
import { timeRounds } from './rounds.ts'

const DEFAULT_ROUNDS = 30

interface Options {
  readonly rounds: number
  readonly json: boolean
  readonly alone: boolean
}

const shapes: readonly Shape[] = [
  ...[10, 100, 1000, 10_000].map((policies) => ({ policies, applying: 10, own: true })),
  ...[1, 100].map((applying) => ({ policies: 1000, applying, own: true })),
  ...[10, 100, 1000, 10_000].map((policies) => ({ policies, applying: 10, own: false })),
]

export async function benchPolicy(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\nusage: npm run bench -- policy [--rounds N] [--json] [--only doorward]`)
    return 2
  }
  const rows: Row[] = []
  for (const shape of shapes) {
    if (process.stderr.isTTY && !options.json) process.stderr.write(`\r\u001b[K${shape.policies} policies`)
    rows.push(await rowOf(shape, options))
  }
  if (process.stderr.isTTY && !options.json) process.stderr.write('\r\u001b[K')
  const machine = `${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? '?'}; Node ${process.versions.node}`
  const report: PolicyReport = { machine, load: loadavg()[0] ?? Number.NaN, rows }
  console.log(options.json ? JSON.stringify(report, null, 2) : textOf(report))
  return 0
}

async function rowOf(shape: Shape, { rounds, alone }: Options): Promise<Row> {
  const { population, policies, cost } = await changeTo(shape)
  const engines = [openDoorward(population, policies)]
  if (!alone) engines.push(openOfficial(`bench ${JSON.stringify(shape)}`, policies))
  if (!alone && !shape.own) engines.push(await openCasbin(population))
  return { shape, timings: timeRounds(engines, population.calls, rounds), cost }
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string' },
        json: { type: 'boolean', default: false },
        only: { type: 'string' },
      },
    })
    const rounds = Number(values.rounds ?? DEFAULT_ROUNDS)
    if (!(Number.isInteger(rounds) && rounds > 0 && rounds <= 10_000)) return '--rounds: expected 1 to 10000'
    if (values.only !== undefined && values.only !== 'doorward') return '--only: expected doorward'
    return { rounds, json: values.json, alone: values.only !== undefined }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
