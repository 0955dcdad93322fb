/**
 * `npm run bench -- audit [--seconds N] [--entries N] [--folder DIR] [--json]`: what a durable entry costs with 1, 100 and
 * 1,000 writers, beside a plain fdatasync for each entry; the wait at a steady load; and a log of a million entries: written,
 * opened, verified, and what stays in memory. Exit 0 when everything was measured and the log verifies, 1 when it does
 * not, 2 for unknown arguments.
 */

import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { rounds, writerCounts } from './measures.ts'
import type { AuditReport, Grown, Opened, Steady, Verified, WriterRow } from './measures.ts'
import { textOf } from './report.ts'

const usage = 'usage: npm run bench -- audit [--seconds N] [--entries N] [--folder DIR] [--json]'

interface Options {
  readonly seconds: number
  readonly entries: number
  readonly folder: string
  readonly json: boolean
}

export async function benchAudit(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\n${usage}`)
    return 2
  }
  const folder = await mkdtemp(join(options.folder, 'doorward-bench-'))
  try {
    const report = await measure(folder, options)
    console.log(options.json ? JSON.stringify(report, null, 2) : textOf(report))
    return report.verified.problems === 0 && report.verified.entries === options.entries ? 0 : 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(folder: string, { seconds, entries, json }: Options): Promise<AuditReport> {
  const say = (text: string) => void (process.stderr.isTTY && !json && process.stderr.write(`\r\u001b[K${text}`))
  const load = loadavg()[0] ?? Number.NaN
  say(`appends, ${writerCounts.join(', ')} writers`)
  const appends = bestOf(await inProcess<readonly WriterRow[]>('appends', folder, seconds / rounds))
  say('a steady load')
  const steady = await inProcess<Steady>('steady', folder, seconds)
  const grownIn = await mkdtemp(join(folder, 'grown-'))
  say(`${entries} entries`)
  const grown = await inProcess<Grown>('grow', grownIn, entries)
  say('verifying')
  const verified = await inProcess<Verified>('verify', grownIn)
  say('memory')
  const smallIn = await mkdtemp(join(folder, 'small-'))
  await inProcess<Grown>('grow', smallIn, entries / 10)
  const small = await inProcess<Opened>('open', smallIn)
  const opened = await inProcess<Opened>('open', grownIn)
  say('')
  const machine = `${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? '?'}; Node ${process.versions.node}`
  return { machine, load, appends, steady, grown, small, opened, verified }
}

/** Of the rounds of each variant the one that the machine disturbed least. */
function bestOf(rows: readonly WriterRow[]): readonly WriterRow[] {
  const best = new Map<string, WriterRow>()
  for (const row of rows) {
    const key = `${row.variant} ${row.writers}`
    if ((best.get(key)?.perSecond ?? 0) < row.perSecond) best.set(key, row)
  }
  return [...best.values()]
}

async function inProcess<Result>(task: string, folder: string, number = 0): Promise<Result> {
  const program = join(import.meta.dirname, 'log-process.ts')
  const words = ['--conditions=source', '--expose-gc', program, task, folder, String(number)]
  const { stdout } = await promisify(execFile)(process.execPath, words, { maxBuffer: 2 ** 20 })
  return JSON.parse(stdout) as Result
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string', default: '6' },
        entries: { type: 'string', default: '1000000' },
        folder: { type: 'string', default: tmpdir() },
        json: { type: 'boolean', default: false },
      },
    })
    const [seconds, entries] = [Number(values.seconds), Number(values.entries)]
    if (!(seconds > 0 && seconds <= 120)) return '--seconds: expected 1 to 120'
    if (!(Number.isInteger(entries / 10) && entries >= 1000 && entries <= 10_000_000))
      return '--entries: expected 1000 to 10000000, in tens'
    return { seconds, entries, folder: values.folder, json: values.json }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
