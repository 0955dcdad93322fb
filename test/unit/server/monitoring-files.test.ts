/** Rules and dashboard ask for what there is, and every alert says what to do. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { rowsOf } from '../../../packages/server/src/observability/metric-rows.ts'
import type { MetricRow } from '../../../packages/server/src/observability/metrics.ts'
import { repository } from '../../fixtures/deployment.ts'
import { hasTool, runTool } from '../../fixtures/outside-tools.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly runbook: string }
}
interface Panel {
  readonly id: number
  readonly title: string
  readonly type: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

const folder = join(repository, 'monitoring')
const { groups } = parse(await readFile(join(folder, 'prometheus-rules.yaml'), 'utf8')) as {
  readonly groups: readonly { readonly rules: readonly Rule[] }[]
}
const rules = groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(await readFile(join(folder, 'grafana-dashboard.json'), 'utf8')) as {
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string }[] }
}
const targets = dashboard.panels.flatMap(({ targets = [] }) => targets)

const suffixes: Readonly<Record<MetricRow['kind'], readonly string[]>> = {
  counter: ['_total'],
  gauge: [''],
  info: ['_info'],
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['_sum', '_count'],
}
/** Labels of each sample, with those that a scrape adds. */
const labelsOf = new Map<string, ReadonlySet<string>>()
for (const { name, kind, labels } of [...rowsOf.gateway, ...rowsOf.authority])
  for (const suffix of suffixes[kind])
    labelsOf.set(`${name}${suffix}`, new Set([...labels, 'job', 'instance', ...(suffix === '_bucket' ? ['le'] : [])]))

/** Names and labels in a PromQL expression that no metric has. */
function unknownIn(expression: string): readonly string[] {
  const names = [...expression.matchAll(/\b(?:doorward|process)_\w+/g)].map(([name]) => name)
  const known = new Set(names.flatMap((name) => [...(labelsOf.get(name) ?? [])]))
  const selected = [...expression.matchAll(/\b((?:doorward|process)_\w+)\{([^}]*)\}/g)].flatMap(
    ([, name = '', inside = '']) =>
      [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = '']) => [name, label] as const),
  )
  const grouped = [...expression.matchAll(/\b(?:by|on|without|ignoring) \(([^)]*)\)/g)].flatMap(([, inside = '']) =>
    inside.split(/,\s*/),
  )
  return [
    ...names.filter((name) => !labelsOf.has(name)),
    ...selected
      .filter(([name, label]) => labelsOf.get(name)?.has(label) !== true)
      .map(([name, label]) => `${name}.${label}`),
    ...grouped.filter((label) => !known.has(label)),
  ]
}

test('every metric and label in rules and dashboard is one of ours', () => {
  for (const { expr } of [...rules, ...targets]) deepEqual(unknownIn(expr), [], expr)
  deepEqual(unknownIn('sum by (door, le) (rate(doorward_call_duration_seconds_total{server="a",tool="b"}[5m]))'), [
    'doorward_call_duration_seconds_total',
    'doorward_call_duration_seconds_total.server',
    'doorward_call_duration_seconds_total.tool',
    'door',
    'le',
  ])
})

test('legends and summaries show labels that the expression leaves', () => {
  const shown = (text: string) =>
    [...text.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g)].map(([, label = '']) => label)
  const left = (expr: string) => {
    const [, grouped] = /\bby \(([^)]*)\)/.exec(expr) ?? []
    if (grouped !== undefined) return new Set(grouped.split(/,\s*/))
    const [name = ''] = /\b(?:doorward|process)_\w+|\bup\b/.exec(expr) ?? []
    return labelsOf.get(name) ?? new Set(['job', 'instance'])
  }
  for (const { expr, annotations } of rules)
    ok(
      shown(annotations.summary).every((label) => left(expr).has(label)),
      expr,
    )
  for (const { expr, legendFormat } of targets)
    ok(
      shown(legendFormat).every((label) => left(expr).has(label)),
      expr,
    )
})

test('every alert has a severity and a place in docs/monitoring.md, and the tests of the rules let each come', async () => {
  const markdown = await readFile(join(repository, 'docs', 'monitoring.md'), 'utf8')
  const places = [...markdown.matchAll(/^### (Doorward\w+)$/gm)].map(([, name = '']) => name)
  const tested = await readFile(join(folder, 'prometheus-rules.test.yaml'), 'utf8')
  deepEqual(rules.map(({ alert }) => alert).toSorted(), places.toSorted())
  for (const { alert, labels, annotations } of rules) {
    ok(['warning', 'critical'].includes(labels.severity), alert)
    equal(annotations.runbook, `docs/monitoring.md#${alert.toLowerCase()}`)
    ok(tested.includes(`alertname="${alert}"`), alert)
  }
})

test('the dashboard is of Grafana 10 or newer, has ids and places of its own, and rows for every part', () => {
  ok(dashboard.schemaVersion >= 38)
  const { panels } = dashboard
  equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  )
  equal(new Set(cells).size, cells.length)
  deepEqual(
    panels.filter(({ type }) => type === 'row').map(({ title }) => title),
    ['Overview', 'Calls', 'Refusals', 'Record', 'Trust', 'Authority', 'Exports and processes'],
  )
  deepEqual(
    dashboard.templating.list.map(({ name }) => name),
    ['datasource', 'job', 'instance'],
  )
})

test('promtool finds nothing wrong with rules and expressions, and the rules do what their tests say', async (t) => {
  if (!hasTool(t, 'promtool')) return
  const place = await mkdtemp(join(tmpdir(), 'doorward-rules-'))
  t.after(() => rm(place, { recursive: true, force: true }))
  const records = targets.map(({ expr }, i) => ({
    record: `panel:${i}`,
    expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', '.+').replaceAll('$instance', '.+'),
  }))
  await writeFile(join(place, 'panels.yaml'), JSON.stringify({ groups: [{ name: 'panels', rules: records }] }))
  const checks = [
    ['check', 'rules', join(folder, 'prometheus-rules.yaml'), join(place, 'panels.yaml')],
    ['test', 'rules', join(folder, 'prometheus-rules.test.yaml')],
  ]
  for (const words of checks) {
    const { code, stdout, stderr } = runTool('promtool', words, folder)
    equal(code, 0, `${stdout}${stderr}`)
  }
})
