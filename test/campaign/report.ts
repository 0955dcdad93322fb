/** The report of one campaign, as it is committed. */

import { availableParallelism, totalmem } from 'node:os'
import type { Part, PartReport } from './part.ts'

export interface FinishedPart {
  readonly part: Part
  readonly seed: number
  readonly wanted: number
  readonly seconds: number
  /** That it may take. */
  readonly limitSeconds: number
  readonly report: PartReport
}

export function reportText(finished: readonly FinishedPart[]): string {
  const machine = `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}`
  return [
    '# Campaign',
    '',
    'Written by `npm run campaign`; docs/campaign.md says what each part does.',
    '',
    `Machine: ${machine}; Node ${process.versions.node}, OpenSSL ${process.versions.openssl}.`,
    '',
    '| part | done | of | findings | seconds | seed |',
    '|---|---:|---:|---:|---:|---:|',
    ...finished.map(rowOf),
    '',
    ...finished.flatMap(detailsOf),
  ].join('\n')
}

function rowOf({ part, seed, wanted, seconds, report }: FinishedPart): string {
  const cells = [part.name, report.done.toLocaleString('en'), wanted.toLocaleString('en'), report.findings.length]
  return `| ${[...cells, Math.round(seconds), seed].join(' | ')} |`
}

function detailsOf({ part, wanted, limitSeconds, report }: FinishedPart): readonly string[] {
  const short = report.done < wanted ? [`- ended by its time limit of ${limitSeconds} s`] : []
  return [
    `## ${part.name}`,
    '',
    `Rule: ${part.rule}.`,
    '',
    ...short,
    ...Object.entries(report.facts).map(
      ([name, value]) => `- ${name}: ${typeof value === 'number' ? value.toLocaleString('en') : value}`,
    ),
    ...report.findings.map((finding) => `- **finding**: \`${finding}\``),
    '',
  ]
}
