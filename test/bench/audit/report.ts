/** The numbers of the record as text. Pure. */

import { steadyPerSecond, writerCounts } from './measures.ts'
import type { AuditReport, WriterRow } from './measures.ts'

const head = ['writers', 'entries/s', 'p50 ms', 'p99 ms', 'plain entries/s', 'p50 ms', 'p99 ms', 'times plain']

export function textOf(report: AuditReport): string {
  const { machine, load, appends, steady, grown, small, opened, verified } = report
  const of = (variant: WriterRow['variant'], writers: number) =>
    appends.find((row) => row.variant === variant && row.writers === writers)
  const rows = writerCounts.map((writers) => {
    const [ours, plain] = [of('record', writers), of('plain', writers)]
    const times = ((ours?.perSecond ?? Number.NaN) / (plain?.perSecond ?? Number.NaN)).toFixed(1)
    return [String(writers), ...cells(ours), ...cells(plain), times]
  })
  const more = (opened.resident / small.resident - 1) * 100
  return [
    `machine: ${machine}; load ${load.toFixed(1)}`,
    '',
    ...[head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`),
    '',
    `at ${steadyPerSecond} entries a second: p50 ${steady.p50.toFixed(2)} ms, p99 ${steady.p99.toFixed(2)} ms`,
    `${grown.entries} entries: written in ${grown.seconds.toFixed(0)} s, opened in ${opened.milliseconds.toFixed(0)} ms, ` +
      `verified in ${verified.seconds.toFixed(1)} s with ${verified.mostResident.toFixed(0)} MB at most, ${verified.problems} problems`,
    `resident with ${small.entries} entries ${small.resident.toFixed(0)} MB, with ${opened.entries} ` +
      `${opened.resident.toFixed(0)} MB (${more >= 0 ? '+' : ''}${more.toFixed(1)} %)`,
  ].join('\n')
}

function cells(row: WriterRow | undefined): readonly string[] {
  if (row === undefined) return ['–', '–', '–']
  return [row.perSecond.toFixed(0), row.p50.toFixed(2), row.p99.toFixed(2)]
}
