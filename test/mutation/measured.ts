/** What has been measured: the report holds it, by source, so that a run goes on where the last one ended. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './instrument.ts'
import type { Mutant } from './instrument.ts'
import type { Status } from './worker.ts'

export interface Judged {
  readonly mutant: Mutant
  /** `stopped`: the process ended, or did not answer in time. */
  readonly status: Status | 'stopped'
}

export interface Measure {
  /** Of the source as it was changed. */
  readonly digest: string
  readonly mutants: number
  readonly survived: number
  readonly uncovered: number
  /** One line for each change that no test noticed. */
  readonly survivors: readonly string[]
}

export type Measures = ReadonlyMap<string, Measure>

export function digestOf(path: string): string {
  const source = readFileSync(join(root, path))
  return createHash('sha256').update(source).digest('hex').slice(0, 12)
}

export function measureOf(path: string, judged: readonly Judged[]): Measure {
  const count = (status: Judged['status']) => judged.filter((one) => one.status === status).length
  return {
    digest: digestOf(path),
    mutants: judged.length,
    survived: count('survived'),
    uncovered: count('uncovered'),
    survivors: judged
      .filter(({ status }) => status === 'survived' || status === 'uncovered')
      .map(({ mutant: { line, original, replacement }, status }) => {
        return `- ${path}:${line} (${status}): ${code(original)} → ${code(replacement)}`
      }),
  }
}

function code(text: string): string {
  return `\`${text.replaceAll(/\s+/g, ' ').replaceAll('`', "'").slice(0, 100)}\``
}

/** The noticed share of all that was changed; 0 of nothing: an area without sources is no good one. */
export function scoreOf(measures: readonly Measure[]): number {
  const sum = (of: (one: Measure) => number) => measures.reduce((total, one) => total + of(one), 0)
  const all = sum(({ mutants }) => mutants)
  return all === 0 ? 0 : 1 - sum(({ survived, uncovered }) => survived + uncovered) / all
}

const row = /^\| (packages\/\S+) \| (\d+) \| \d+ \| (\d+) \| (\d+) \| [\d.]+ % \| ([0-9a-f]{12}) \|$/gm

/** Read back from the report. */
export function measuresIn(report: string): Measures {
  const lines = report.split('\n')
  return new Map(
    Array.from(report.matchAll(row), ([, path = '', mutants, survived, uncovered, digest = '']) => {
      const own = lines.filter((line) => line.startsWith(`- ${path}:`))
      const survivors = own.map((line) => line.split('` — ')[0] ?? '').map((line) => line.replace(/`?$/, '`'))
      const counts = { mutants: Number(mutants), survived: Number(survived), uncovered: Number(uncovered) }
      return [path, { digest, ...counts, survivors }]
    }),
  )
}
