/**
 * `npm run mutation [-- --only NAME,NAME] [--file PATH] [--all] [--minutes N] [--workers N] [--report FILE] [--json]`: changes the
 * sources of the decisions in every way that Stryker knows, one change at a time, and lists the changes that no test
 * notices. What the report already has of a source as it is now is not measured again, unless --all or --file says so;
 * --minutes ends a run, and the next one goes on; 0 measures nothing and judges the report. Exit 0 when at least 90 % of each area are
 * noticed and every source of it is measured as it is, 1 when fewer are noticed, 3 when a source has not been measured, 2 for unknown
 * arguments. The report is docs/reports/mutation.md.
 */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { planOf, root } from './instrument.ts'
import { digestOf, measureOf, measuresIn, scoreOf } from './measured.ts'
import type { Judged, Measure, Measures } from './measured.ts'
import { Queue } from './queue.ts'
import { measuredOf, reportText } from './report.ts'
import type { Area } from './report.ts'
import { targets } from './targets.ts'
import type { Target } from './targets.ts'
import type { Outcome } from './worker.ts'

/** Of one mutant; longer is noticed too. */
const MAX_SECONDS = 60
/** Modules that were loaded for mutants are never let go. */
const MUTANTS_PER_PROCESS = 150
const LEAST_SCORE = 0.9

process.exitCode = await main(process.argv.slice(2))

interface Asked {
  readonly chosen: readonly Target[]
  readonly file: string | undefined
  readonly all: boolean
  readonly json: boolean
  readonly workers: number
  readonly report: string
  /** By the monotonic clock. */
  readonly deadline: number
}

/** What is measured so far, written down with each source. */
interface Books {
  readonly measures: Map<string, Measure>
  readonly save: () => Promise<void>
}

async function main(args: readonly string[]): Promise<number> {
  const asked = readArguments(args)
  if (typeof asked === 'string') {
    const options = `usage: npm run mutation [-- --only NAME,NAME] [--file PATH] [--all] [--minutes N] [--workers N] [--report FILE] [--json]`
    console.error(`${asked}\n${options}`)
    return 2
  }
  const before = await readFile(asked.report, 'utf8').catch(() => '')
  const measures = new Map(measuresIn(before))
  const areas = () => targets.map((target) => areaOf(target, measures))
  const save = () => writeFile(asked.report, reportText(areas(), measures))
  const isMeasuring = performance.now() < asked.deadline
  for (const target of asked.chosen) await runTarget(target, asked, { measures, save })
  if (isMeasuring) await save()
  const names = new Set(asked.chosen.map(({ name }) => name))
  const judged = areas().filter(({ name }) => names.has(name))
  const low = judged.flatMap((area) => lowScore(area, measures))
  const open = judged.flatMap(unmeasuredIn)
  const findings = [...low, ...open]
  const score = (scoreOf(judged.flatMap(({ paths }) => measuredOf(paths, measures))) * 100).toFixed(1)
  const missing = judged.reduce((sum, { unmeasured }) => sum + unmeasured.length, 0)
  const summary = `${score} % of the changes are noticed${missing > 0 ? `, ${missing} sources are not measured as they are` : ''}`
  if (asked.json) console.log(JSON.stringify({ findings, summary }))
  else for (const line of [...findings, summary]) console.log(line)
  return low.length > 0 ? 1 : open.length > 0 ? 3 : 0
}

function lowScore({ name, paths }: Area, measures: Measures): readonly string[] {
  const score = scoreOf(measuredOf(paths, measures))
  return score < LEAST_SCORE ? [`${name}: ${(score * 100).toFixed(1)} % noticed, expected at least 90 %`] : []
}

function unmeasuredIn({ name, paths, unmeasured }: Area): readonly string[] {
  if (unmeasured.length === 0) return []
  return [
    `${name}: ${unmeasured.length} of ${paths.length} sources are not measured as they are: ${unmeasured.join(' ')}`,
  ]
}

function areaOf({ name, sources }: Target, measures: Measures): Area {
  const paths = globSync([...sources], { cwd: root }).toSorted()
  return { name, paths, unmeasured: paths.filter((path) => measures.get(path)?.digest !== digestOf(path)) }
}

function readArguments(args: readonly string[]): Asked | string {
  try {
    const [text, flag] = [{ type: 'string' }, { type: 'boolean', default: false }] as const
    const { values } = parseArgs({
      args: [...args],
      options: { only: text, file: text, all: flag, minutes: text, workers: text, report: text, json: flag },
    })
    const { file, all, json } = values
    const only = values.only?.split(',')
    const holds = (target: Target) =>
      (only === undefined || only.includes(target.name)) &&
      (file === undefined || globSync([...target.sources], { cwd: root }).some((path) => path.endsWith(file)))
    const chosen = targets.filter(holds)
    if (chosen.length === 0)
      return `no target has ${file ?? values.only}; there are ${targets.map(({ name }) => name).join(', ')}`
    const [minutes, workers] = [Number(values.minutes ?? Infinity), Number(values.workers ?? 2)]
    if (!(minutes >= 0) || !(workers >= 1)) return '--minutes and --workers: expected numbers'
    const deadline = performance.now() + minutes * 60_000
    const report = resolve(values.report ?? join(root, 'docs/reports/mutation.md'))
    return { chosen, file, all, json, workers, report, deadline }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function runTarget(target: Target, asked: Asked, { measures, save }: Books): Promise<void> {
  const { file, all, workers, deadline } = asked
  const { paths, unmeasured } = areaOf(target, measures)
  const named = file === undefined ? (all ? paths : unmeasured) : paths.filter((path) => path.endsWith(file))
  if (named.length === 0 || performance.now() >= deadline) return
  const plan = await planOf(target, named)
  const changed = new Set(plan.mutants.map(({ path }) => path))
  for (const path of named.filter((one) => !changed.has(one))) measures.set(path, measureOf(path, []))
  const folder = await mkdtemp(join(tmpdir(), 'doorward-mutation-'))
  try {
    const written = join(folder, 'plan.json')
    await writeFile(written, JSON.stringify(plan))
    const queue = new Queue(plan, async (path, judged) => {
      const measure = measureOf(path, judged)
      measures.set(path, measure)
      console.error(`${path}: ${(scoreOf([measure]) * 100).toFixed(1)} % of ${measure.mutants}`)
      for (const line of measure.survivors) console.error(`  ${line}`)
      await save()
    })
    await Promise.all(Array.from({ length: workers }, () => work(written, queue, deadline)))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function work(file: string, queue: Queue, deadline: number): Promise<void> {
  while (queue.length > 0 && performance.now() < deadline) {
    const child = fork(join(import.meta.dirname, 'worker.ts'), [file], { execArgv: ['--conditions=source'], cwd: root })
    try {
      const [ready] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as readonly unknown[]
      if (ready !== 'ready') throw new Error('the tests fail without any mutant')
      for (let done = 0; done < MUTANTS_PER_PROCESS && performance.now() < deadline; done++) {
        const mutant = queue.take()
        if (mutant === undefined) break
        const status = await ask(child, mutant.id)
        await queue.judged(mutant, status)
        if (queue.length % 50 === 0) console.error(`${queue.length} left`)
        if (status === 'stopped') break
      }
    } finally {
      child.kill('SIGKILL')
    }
  }
}

/** A process that ends or does not answer has noticed. */
async function ask(child: ChildProcess, id: string): Promise<Judged['status']> {
  const settled = new AbortController()
  const signal = AbortSignal.any([settled.signal, AbortSignal.timeout(MAX_SECONDS * 1000)])
  const answer = once(child, 'message', { signal }).then(([outcome]) => (outcome as Outcome).status)
  const end = once(child, 'exit', { signal }).then(() => 'stopped' as const)
  child.send(id)
  try {
    return await Promise.race([answer, end])
  } catch {
    return 'stopped'
  } finally {
    settled.abort()
    await Promise.allSettled([answer, end])
  }
}
