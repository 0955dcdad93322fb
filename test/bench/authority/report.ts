/** The numbers of issuing as text. Pure. */

import type { Measured } from '../statistics.ts'
import type { IssuingReport } from './run.ts'

const head = ['store', 'what', '/s', '/s of CPU', 'CPU µs each', 'p50 ms', 'p99 ms']

export function textOf(reports: readonly IssuingReport[]): string {
  const rows = reports.flatMap(({ store, renewals, tokens }) => [
    [store, 'renewals', ...numbers(renewals)],
    [store, 'tokens', ...numbers(tokens)],
  ])
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function numbers({
  callsPerSecond,
  cpuMicrosecondsPerCall,
  p50Microseconds,
  p99Microseconds,
}: Measured): readonly string[] {
  const perCpu = cpuMicrosecondsPerCall === null ? '–' : (1e6 / cpuMicrosecondsPerCall).toFixed(0)
  return [
    callsPerSecond.toFixed(0),
    perCpu,
    cpuMicrosecondsPerCall?.toFixed(0) ?? '–',
    (p50Microseconds / 1000).toFixed(2),
    (p99Microseconds / 1000).toFixed(2),
  ]
}
