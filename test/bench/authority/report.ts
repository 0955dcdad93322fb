/** The numbers of issuing as text. Pure. */

import type { IssuingReport, MeasuredIssuing } from './run.ts'

const head = [
  'store',
  'what',
  'at once',
  '/s',
  '/s of CPU',
  'CPU µs each',
  'callers µs',
  'database µs',
  'p50 ms',
  'p99 ms',
]

export function textOf(reports: readonly IssuingReport[]): string {
  const rows = reports.flatMap(({ store, workloads, renewals, tokens, single }) => [
    [store, 'renewals', `${workloads}`, ...numbers(renewals)],
    [store, 'tokens', `${workloads}`, ...numbers(tokens)],
    [store, 'renewals', '1', ...numbers(single.renewals)],
    [store, 'tokens', '1', ...numbers(single.tokens)],
  ])
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function numbers({
  callsPerSecond,
  cpuMicrosecondsPerCall,
  callersCpuMicroseconds,
  databaseCpuMicroseconds,
  p50Microseconds,
  p99Microseconds,
}: MeasuredIssuing): readonly string[] {
  const whole = (value: number | null) => value?.toFixed(0) ?? '–'
  return [
    callsPerSecond.toFixed(0),
    whole(cpuMicrosecondsPerCall === null ? null : 1e6 / cpuMicrosecondsPerCall),
    whole(cpuMicrosecondsPerCall),
    whole(callersCpuMicroseconds),
    whole(databaseCpuMicroseconds),
    (p50Microseconds / 1000).toFixed(2),
    (p99Microseconds / 1000).toFixed(2),
  ]
}
