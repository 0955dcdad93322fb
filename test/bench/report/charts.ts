/** The charts of the page, from its numbers. */

import { median, quantile } from '../statistics.ts'
import type { Measured } from '../statistics.ts'
import type { VariantName } from '../system.ts'
import { svgOf, themes } from './chart.ts'
import type { Bar, Chart } from './chart.ts'
import { nameOf } from './names.ts'
import { stepNames } from './numbers.ts'
import type { MeasuredTable, ReportNumbers } from './numbers.ts'

/** Microseconds of CPU per call: the median of the rounds, since others may have been at work in some of them. */
export function cpuOf(measured: Measured | undefined): number | null {
  return measured === undefined || measured.cpuOfRounds.length === 0 ? null : median(measured.cpuOfRounds)
}

/** The middle half of the rounds: a quarter of them was below, a quarter above. */
export function halfOf(measured: Measured | undefined): readonly [number, number] | null {
  const sorted = Float64Array.from(measured?.cpuOfRounds ?? []).toSorted()
  return sorted.length === 0 ? null : [quantile(sorted, 0.25), quantile(sorted, 0.75)]
}

/** What a control has added to the one before it, in the units of the rounds: the median of what it was in each. */
export function addedOver(one: Measured | undefined, before: Measured | undefined): number | null {
  const differences = (one?.cpuOfRounds ?? []).flatMap((cpu, i) => {
    const other = before?.cpuOfRounds[i]
    return other === undefined ? [] : [cpu - other]
  })
  return differences.length === 0 ? null : median(differences)
}

const ours: ReadonlySet<VariantName> = new Set<VariantName>([...stepNames, 'stdio'])

/** Name of the file without its theme → chart; what was not measured has no bar. */
export function chartsOf({ tables }: ReportNumbers): Readonly<Record<string, Chart>> {
  const { kept, one, fresh } = tables
  return {
    controls: {
      title: 'CPU of one call, controls one by one (16 kept connections)',
      axis: 'CPU per call, µs; the line is the middle half of the rounds',
      legend: ['without what is added', 'what is added'],
      bars: [...stepBars(kept), ...cpuBars(kept, ['nginx', 'haproxy'])],
      digits: 0,
      numbers: 'end',
    },
    waiting: {
      title: 'What one caller waits for an answer (one kept connection)',
      axis: 'milliseconds from the call to its answer: half of the calls / 99 of 100',
      legend: ['half of the calls', '99 of 100'],
      bars: waitingBars(one, ['direct', ...stepNames, 'nginx', 'haproxy']),
      digits: 2,
      numbers: 'each',
    },
    connecting: {
      title: 'CPU of one call on a connection of its own, handshake included',
      axis: 'CPU per connection and call, µs; the line is the middle half of the rounds',
      legend: [],
      bars: cpuBars(fresh, [...stepNames, 'nginx', 'haproxy']),
      digits: 0,
      numbers: 'end',
    },
    stdio: {
      title: 'CPU of one call to a stdio server (16 kept connections)',
      axis: 'CPU per call without that of the server, µs; the line is the middle half of the rounds',
      legend: [],
      bars: cpuBars(kept, ['stdio', 'mcp-proxy', 'supergateway']),
      digits: 0,
      numbers: 'end',
    },
  }
}

/** File name → text. */
export function drawn(charts: Readonly<Record<string, Chart>>): Readonly<Record<string, string>> {
  const files = Object.entries(charts).flatMap(([name, chart]) =>
    Object.entries(themes).map(([theme, colours]) => [`${name}-${theme}.svg`, svgOf(chart, colours)] as const),
  )
  return Object.fromEntries(files)
}

function rangeOf(measured: Measured): Pick<Bar, 'range'> {
  const range = halfOf(measured)
  return range === null || measured.cpuOfRounds.length < 2 ? {} : { range }
}

function stepBars(table: MeasuredTable): readonly Bar[] {
  return stepNames.flatMap((name, i) => {
    const measured = table[name]
    const cpu = cpuOf(measured)
    if (measured === undefined || cpu === null) return []
    const before = stepNames[i - 1]
    const added = before === undefined ? 0 : (addedOver(measured, table[before]) ?? 0)
    // Where noise is larger than what is added, nothing is seen of it.
    const seen = Math.min(Math.max(added, 0), cpu)
    return [{ label: nameOf[name], parts: [cpu - seen, seen], ...rangeOf(measured) }]
  })
}

function cpuBars(table: MeasuredTable, names: readonly VariantName[]): readonly Bar[] {
  return names.flatMap((name) => {
    const measured = table[name]
    const cpu = cpuOf(measured)
    if (measured === undefined || cpu === null) return []
    return [{ label: nameOf[name], parts: [cpu], other: !ours.has(name), ...rangeOf(measured) }]
  })
}

function waitingBars(table: MeasuredTable, names: readonly VariantName[]): readonly Bar[] {
  return names.flatMap((name) => {
    const measured = table[name]
    if (measured === undefined) return []
    const { p50Microseconds: half, p99Microseconds: most } = measured
    return [{ label: nameOf[name], parts: [half / 1000, (most - half) / 1000], other: !ours.has(name) }]
  })
}
