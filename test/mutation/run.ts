/**
 * `npm run mutation [-- --only NAME,NAME] [--report FILE]`: changes the sources of the decisions in every way that Stryker
 * knows, one change at a time, and lists the changes that no test notices. Exit 0 when at least 90 % are noticed, 1 when
 * not, 2 for unknown arguments. Without --only the report goes to docs/reports/mutation.md.
 */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { planOf, root } from './instrument.ts'
import type { Mutant, Plan } from './instrument.ts'
import { reportText, scoreOf } from './report.ts'
import type { Judged, TargetReport } from './report.ts'
import { targets } from './targets.ts'
import type { Target } from './targets.ts'
import type { Outcome } from './worker.ts'

const WORKERS = 2
/** Of one mutant; longer is noticed too. */
const MAX_SECONDS = 60
/** Modules that were loaded for mutants are never let go. */
const MUTANTS_PER_PROCESS = 150
const LEAST_SCORE = 0.9

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({ args: [...args], options: { only: text, report: text } })
  const only = values.only?.split(',')
  const chosen = targets.filter(({ name }) => only === undefined || only.includes(name))
  if (chosen.length === 0) {
    console.error(`no target is called ${values.only}; there are ${targets.map(({ name }) => name).join(', ')}`)
    return 2
  }
  const reports: TargetReport[] = []
  for (const target of chosen) {
    const report = await runTarget(target)
    reports.push(report)
    console.log(`${target.name}: ${(scoreOf(report.judged) * 100).toFixed(1)} % of ${report.judged.length} noticed`)
    for (const { mutant, status } of report.judged)
      if (status === 'survived' || status === 'uncovered') console.log(`  ${status} ${lineOf(mutant)}`)
  }
  const path = values.report ?? (values.only === undefined ? join(root, 'docs/reports/mutation.md') : null)
  if (path !== null) await writeFile(path, reportText(reports))
  return reports.every(({ judged }) => scoreOf(judged) >= LEAST_SCORE) ? 0 : 1
}

function lineOf({ path, line, mutator, original, replacement }: Mutant): string {
  const short = (text: string) => text.replaceAll(/\s+/g, ' ').slice(0, 90)
  return `${path.replace('packages/', '')}:${line} ${mutator}: ${short(original)} -> ${short(replacement)}`
}

async function runTarget(target: Target): Promise<TargetReport> {
  const begun = performance.now()
  const plan = await planOf(target)
  const folder = await mkdtemp(join(tmpdir(), 'doorward-mutation-'))
  try {
    const file = join(folder, 'plan.json')
    await writeFile(file, JSON.stringify(plan))
    const queue = [...plan.mutants]
    const judged: Judged[] = []
    await Promise.all(Array.from({ length: WORKERS }, () => work(file, queue, judged)))
    const order = new Map(plan.mutants.map(({ id }, i) => [id, i]))
    const place = ({ mutant }: Judged) => order.get(mutant.id) ?? 0
    return {
      target,
      judged: judged.toSorted((a, b) => place(a) - place(b)),
      seconds: (performance.now() - begun) / 1000,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function work(file: string, queue: Plan['mutants'][number][], judged: Judged[]): Promise<void> {
  while (queue.length > 0) {
    const child = fork(join(import.meta.dirname, 'worker.ts'), [file], { execArgv: ['--conditions=source'], cwd: root })
    try {
      const [ready] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as readonly unknown[]
      if (ready !== 'ready') throw new Error('the tests fail without any mutant')
      for (let done = 0; done < MUTANTS_PER_PROCESS; done++) {
        const mutant = queue.shift()
        if (mutant === undefined) break
        const status = await ask(child, mutant.id)
        judged.push({ mutant, status })
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
