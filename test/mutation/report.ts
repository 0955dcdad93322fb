/** The report, as it is committed. */

import type { Mutant } from './instrument.ts'
import type { Target } from './targets.ts'
import type { Status } from './worker.ts'

export interface Judged {
  readonly mutant: Mutant
  /** `stopped`: the process ended, or did not answer in time. */
  readonly status: Status | 'stopped'
}

export interface TargetReport {
  readonly target: Target
  readonly judged: readonly Judged[]
  readonly seconds: number
}

const unnoticed: ReadonlySet<Judged['status']> = new Set(['survived', 'uncovered'])

/** The noticed share; 1 of nothing. */
export function scoreOf(judged: readonly Judged[]): number {
  if (judged.length === 0) return 1
  return 1 - judged.filter(({ status }) => unnoticed.has(status)).length / judged.length
}

export function reportText(reports: readonly TargetReport[]): string {
  return [
    '# Mutation',
    '',
    'Written by `npm run mutation`: every change that Stryker knows, made to the sources one at a time. A change is noticed',
    'when a test fails, or does not end. Texts of messages are not changed.',
    '',
    '| source | mutants | noticed | survived | not covered | score |',
    '|---|---:|---:|---:|---:|---:|',
    ...reports.flatMap(({ judged }) => rowsOf(judged)),
    '',
    ...reports.flatMap(({ judged }) => survivorsOf(judged)),
    '',
  ].join('\n')
}

function rowsOf(judged: readonly Judged[]): readonly string[] {
  return Array.from(
    Map.groupBy(judged, ({ mutant }) => mutant.path),
    ([path, of]) => {
      const count = (status: Judged['status']) => of.filter((one) => one.status === status).length
      const [survived, uncovered] = [count('survived'), count('uncovered')]
      const noticed = of.length - survived - uncovered
      return `| ${path} | ${of.length} | ${noticed} | ${survived} | ${uncovered} | ${(scoreOf(of) * 100).toFixed(1)} % |`
    },
  )
}

function survivorsOf(judged: readonly Judged[]): readonly string[] {
  const code = (text: string) => `\`${text.replaceAll(/\s+/g, ' ').replaceAll('`', "'").slice(0, 100)}\``
  return judged
    .filter(({ status }) => unnoticed.has(status))
    .map(({ mutant: { path, line, original, replacement }, status }) => {
      const where = `${path.replace('packages/', '')}:${line}`
      return `- ${where} (${status}): ${code(original)} → ${code(replacement)}`
    })
}
