/**
 * `npm run bench -- report [--quick] [--out FOLDER] [--from FILE]`: measures the controls one by one beside other proxies, and
 * writes the page with its charts and numbers; with `--from`, that of numbers which were measured before. Ten minutes at most, one
 * with `--quick`, which writes into a folder for temporary files unless it is told where. Exit 0 when everything was
 * measured, 1 when something could not be (`NOT MEASURED`), 2 for unknown arguments.
 */

import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { repositoryRoot } from '../../../scripts/source-files.ts'
import { cpuIsKnown } from '../cpu.ts'
import { machineNow, revisionNow, versionsNow } from './facts.ts'
import type { ReportNumbers } from './numbers.ts'
import { pageFiles } from './page.ts'
import { fullPace, measureRounds, quickPace } from './rounds.ts'
import { openStage } from './stage.ts'

const usage = 'usage: npm run bench -- report [--quick] [--out FOLDER] [--from FILE]'
/** No round ends later, as far as rounds are alike; what was started is closed after them. */
const FULL_MILLISECONDS = 570_000
const QUICK_MILLISECONDS = 50_000
const INSTALL_MILLISECONDS = 120_000

interface Options {
  readonly quick: boolean
  readonly out: string | undefined
  readonly from: string | undefined
}

export async function benchReport(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\n${usage}`)
    return 2
  }
  const numbers = options.from === undefined ? await measured(options) : await recorded(options.from)
  if (typeof numbers === 'string') {
    console.error(`--from ${options.from}: ${numbers}\n${usage}`)
    return 2
  }
  const folder = await folderOf(options)
  for (const [name, text] of Object.entries(pageFiles(numbers))) {
    const file = join(folder, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
  console.log(`written: ${join(folder, 'benchmark-report.md')}`)
  for (const why of numbers.missing) console.error(`NOT MEASURED: ${why}`)
  return numbers.missing.length === 0 ? 0 : 1
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, from: { type: 'string' } },
    })
    return { quick: values.quick, out: values.out, from: values.from }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function folderOf({ quick, out }: Options): Promise<string> {
  if (out !== undefined) return resolve(out)
  return quick ? mkdtemp(join(tmpdir(), 'doorward-benchmark-report-')) : join(repositoryRoot, 'docs')
}

/** What is wrong with the file, where it is none of ours. */
async function recorded(file: string): Promise<ReportNumbers | string> {
  try {
    const numbers = JSON.parse(await readFile(file, 'utf8')) as ReportNumbers
    return numbers.format === 1 ? numbers : `expected numbers of format 1, got ${String(numbers.format)}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function measured({ quick }: Options): Promise<ReportNumbers> {
  const began = performance.now()
  const at = `${new Date().toISOString().slice(0, 16)}Z`
  const [loadBefore = 0] = loadavg()
  const facts = { ...revisionNow(), machine: machineNow() }
  const until = began + (quick ? QUICK_MILLISECONDS : FULL_MILLISECONDS)
  const { missing, ...result } = await measuredUntil(until, quick)
  const [loadAfter = 0] = loadavg()
  return {
    format: 1,
    at,
    ...facts,
    quick,
    machine: { ...facts.machine, loadBefore, loadAfter },
    versions: versionsNow(result.tables.kept.supergateway !== undefined),
    missing: [...missing, ...(cpuIsKnown ? [] : ['CPU: this system does not tell that of a process'])],
    seconds: Math.round((performance.now() - began) / 1000),
    ...result,
  }
}

async function measuredUntil(until: number, quick: boolean) {
  const shown = process.stderr.isTTY
  const say = (text: string) => void (shown && process.stderr.write(`\r\u001b[K${text}`))
  await using stack = new AsyncDisposableStack()
  const stage = await openStage(stack, { installMilliseconds: quick ? 0 : INSTALL_MILLISECONDS, say })
  const result = await measureRounds(stage, { pace: quick ? quickPace : fullPace, until, say })
  say('')
  return { ...result, missing: stage.missing }
}
