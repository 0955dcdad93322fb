/** Metrics as numbers and as text. */

import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { StageTimes } from '@doorward/enforcement'
import { GatewayMetrics } from '../../../packages/server/src/apps/gateway-metrics.ts'
import { authorityRows, gatewayRows, ownRows, rowsOf } from '../../../packages/server/src/observability/metric-rows.ts'
import { metricsFormat, metricsText } from '../../../packages/server/src/observability/metrics-text.ts'
import { Metrics } from '../../../packages/server/src/observability/metrics.ts'
import type { MetricRow } from '../../../packages/server/src/observability/metrics.ts'
import type { CallReport } from '../../../packages/server/src/transports/streamable-http.ts'
import { callReport } from '../../fixtures/call-report.ts'

const rows = {
  doors: { name: 'doors', kind: 'counter', help: 'Doors \\ that\n"opened".', labels: ['name'] },
  open: { name: 'open_seconds', kind: 'histogram', help: 'Open.', labels: [], buckets: [0.5, 1] },
  sum: { name: 'work_seconds', kind: 'summary', help: 'Work.', labels: [] },
  about: { name: 'about', kind: 'info', help: 'About.', labels: ['version'] },
} as const satisfies Readonly<Record<string, MetricRow>>

async function shown(format: 'prometheus' | 'openmetrics'): Promise<string> {
  const metrics = new Metrics(Object.values(rows))
  const doors = metrics.numbers(rows.doors).cell('a"b\\c\nd')
  doors.add()
  doors.add(2)
  doors.exemplar = { decision: 'test.example/gateway/main#7', traceId: 'f'.repeat(32) }
  const open = metrics.histogram(rows.open).cell()
  for (const seconds of [0.25, 0.5, 1.5]) open.observe(seconds, { decision: `x#${seconds}`, traceId: null })
  metrics.onScrape(() => void Object.assign(metrics.summary(rows.sum).cell(), { sum: 1.5, count: 3 }))
  metrics.numbers(rows.about).cell('1').value = 1
  return metricsText(await metrics.collect(), format)
}

test('the text format 0.0.4 has counters by their sample, cumulative buckets, escapes, and no exemplars', async () => {
  equal(
    await shown('prometheus'),
    String.raw`# HELP doors_total Doors \\ that\n"opened".
# TYPE doors_total counter
doors_total{name="a\"b\\c\nd"} 3
# HELP open_seconds Open.
# TYPE open_seconds histogram
open_seconds_bucket{le="0.5"} 2
open_seconds_bucket{le="1.0"} 2
open_seconds_bucket{le="+Inf"} 3
open_seconds_count 3
open_seconds_sum 2.25
# HELP work_seconds Work.
# TYPE work_seconds summary
work_seconds_count 3
work_seconds_sum 1.5
# HELP about_info About.
# TYPE about_info gauge
about_info{version="1"} 1
`,
  )
})

test('OpenMetrics 1.0 has families, units, exemplars and an end', async () => {
  equal(
    await shown('openmetrics'),
    String.raw`# TYPE doors counter
# HELP doors Doors \\ that\n\"opened\".
doors_total{name="a\"b\\c\nd"} 3 # {trace_id="${'f'.repeat(32)}",decision_id="test.example/gateway/main#7"} 1
# TYPE open_seconds histogram
# UNIT open_seconds seconds
# HELP open_seconds Open.
open_seconds_bucket{le="0.5"} 2 # {decision_id="x#0.5"} 0.5
open_seconds_bucket{le="1.0"} 2
open_seconds_bucket{le="+Inf"} 3 # {decision_id="x#1.5"} 1.5
open_seconds_count 3
open_seconds_sum 2.25
# TYPE work_seconds summary
# UNIT work_seconds seconds
# HELP work_seconds Work.
work_seconds_count 3
work_seconds_sum 1.5
# TYPE about info
# HELP about About.
about_info{version="1"} 1
# EOF
`,
  )
})

test('an exemplar that is longer than OpenMetrics allows is left out', async () => {
  const metrics = new Metrics([rows.doors])
  metrics.numbers(rows.doors).cell('a').exemplar = { decision: 'x'.repeat(129), traceId: null }
  ok(!metricsText(await metrics.collect(), 'openmetrics').includes('decision_id'))
})

test('the format follows what Accept prefers', () => {
  const open = 'application/openmetrics-text'
  const both = `${open};version=1.0.0,${open};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1`
  const expected: readonly (readonly [string | undefined, string])[] = [
    [both, 'openmetrics'],
    [open, 'openmetrics'],
    [undefined, 'prometheus'],
    ['*/*', 'prometheus'],
    ['text/plain', 'prometheus'],
    [`${open};version=0.0.1`, 'prometheus'],
    [`${open};version=2.0.0`, 'prometheus'],
    [`${open};q=0`, 'prometheus'],
    [`${open};q=0.4,text/plain;q=0.5`, 'prometheus'],
    [`${open};q=nonsense`, 'prometheus'],
  ]
  deepEqual(
    expected.map(([accept]) => metricsFormat(accept)),
    expected.map(([, format]) => format),
  )
})

test('a family is bounded: what comes beyond counts as other', async () => {
  const metrics = new Metrics([rows.doors])
  const family = metrics.numbers(rows.doors)
  for (let n = 0; n < 6000; n++) family.cell(`door ${n}`).add()
  const cells = [...family]
  equal(cells.length, 4097)
  equal(family.cell('other').value, 6000 - 4096)
  equal(family.cell('door 1').value, 1)
})

test('labels and kinds are those of the row', () => {
  const metrics = new Metrics([rows.doors])
  throws(() => metrics.numbers(rows.doors).cell(), TypeError)
  throws(() => metrics.histogram(rows.doors), TypeError)
  throws(() => metrics.numbers(rows.about), TypeError)
})

test('names follow the conventions of Prometheus', () => {
  for (const part of ['gateway', 'authority'] as const) {
    const names = rowsOf[part].map(({ name }) => name)
    equal(new Set(names).size, names.length)
    for (const row of rowsOf[part]) {
      ok(/^(doorward|process)(_[a-z]+)+$/.test(row.name), row.name)
      ok(!/_(total|info|count|sum|bucket)$/.test(row.name), row.name)
      ok(row.kind !== 'histogram' || row.name.endsWith('_seconds'), row.name)
      ok(
        row.labels.every((label) => /^[a-z]+$/.test(label) && label !== 'le'),
        row.name,
      )
      ok(row.help.endsWith('.'), row.name)
    }
  }
})

test('docs/monitoring.md lists every metric with its kind, its labels and what it says, and no others', async () => {
  const markdown = await readFile(new URL('../../../docs/monitoring.md', import.meta.url), 'utf8')
  const listed = markdown.split('\n').filter((line) => /^\| `(doorward|process)_/.test(line))
  const suffixes: Readonly<Record<string, string>> = { counter: '_total', info: '_info' }
  const lineOf = ({ name, kind, labels, help }: MetricRow) => {
    const shown = labels.length === 0 ? '–' : labels.map((label) => `\`${label}\``).join(', ')
    return `| \`${name}${suffixes[kind] ?? ''}\` | ${kind} | ${shown} | ${help} |`
  }
  deepEqual(
    listed,
    [...Object.values(ownRows), ...Object.values(gatewayRows), ...Object.values(authorityRows)].map(lineOf),
  )
})

/** A call whose stages end after so many milliseconds. */
function report(more: Partial<CallReport>, at: Partial<StageTimes> = {}): CallReport {
  const times = Object.assign(new StageTimes(() => 0), { admitted: 1, decided: 3, answered: 13, closed: 15, ...at })
  return callReport(times, more)
}

test('a call is counted by server, group, decision and code, and its time split between us and the server', async () => {
  const metrics = new Metrics(rowsOf.gateway)
  const counted = new GatewayMetrics(metrics, ['files'])
  counted.call(report({}))
  counted.call(report({ code: 'upstream_timeout' }))
  counted.call(report({ stream: 'answer' }, { closed: 1000 }))
  counted.call(report({ group: 'session', stream: 'session' }, { closed: 100_000 }))
  counted.call(report({ code: 'policy_denied', outcome: null }))
  counted.call(report({ code: 'json_syntax', outcome: null, group: null }))
  counted.call(report({ server: 'chosen by a caller' }))
  const calls = [...metrics.numbers(gatewayRows.calls)].map(({ values, cell }) => [values.join(' '), cell.value])
  deepEqual(calls, [
    ['files read allow allowed', 2],
    ['files read allow upstream_timeout', 1],
    ['files session allow allowed', 1],
    ['files read deny policy_denied', 1],
    ['files none deny json_syntax', 1],
  ])
  const sum = (row: MetricRow, ...labels: string[]) => Math.round(metrics.histogram(row).cell(...labels).sum * 1000)
  equal(sum(gatewayRows.recordWait), 4 * 2)
  equal(sum(gatewayRows.upstreamSeconds, 'files'), 3 * 10)
  equal(sum(gatewayRows.ownSeconds, 'files'), 5 + 5 + 3)
  equal(sum(gatewayRows.callSeconds, 'files'), 15 + 15 + 1000)
  equal(metrics.numbers(gatewayRows.upstreamFailures).cell('files', 'upstream_timeout').value, 1)
  equal(metrics.numbers(gatewayRows.upstreamCalls).cell('files').value, 4)
})
