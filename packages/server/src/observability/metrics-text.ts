/**
 * Metrics as text: Prometheus text format 0.0.4, and OpenMetrics 1.0 for whoever asks for it, with exemplars. Pure.
 */

import { isHistogram, isSummary } from './metrics.ts'
import type { AnyFamily, Exemplar, Family, HistogramCell, MetricRow, SummaryCell } from './metrics.ts'

export type MetricsFormat = 'prometheus' | 'openmetrics'

export const metricsTypes: Readonly<Record<MetricsFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** OpenMetrics where the Accept header prefers it (RFC 9110 §12.5.1), the older format otherwise. */
export function metricsFormat(accept: string | undefined): MetricsFormat {
  let [open, plain] = [0, 0]
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    const named = new Map(parameters.map((part) => [part.split('=', 1)[0], part.slice(part.indexOf('=') + 1)]))
    const quality = Number(named.get('q') ?? 1) || 0
    const isKnown = ['1.0.0', undefined].includes(named.get('version'))
    if (type === 'application/openmetrics-text' && isKnown) open = Math.max(open, quality)
    if (type === 'text/plain') plain = Math.max(plain, quality)
  }
  return open > 0 && open >= plain ? 'openmetrics' : 'prometheus'
}

/** One text with every family, in their order. */
export function metricsText(families: readonly AnyFamily[], format: MetricsFormat): string {
  const lines: string[] = []
  for (const family of families) {
    lines.push(...headLines(family.row, format))
    if (isHistogram(family)) histogramLines(family, format, lines)
    else if (isSummary(family)) summaryLines(family, lines)
    else numberLines(family, format, lines)
  }
  if (format === 'openmetrics') lines.push('# EOF')
  return `${lines.join('\n')}\n`
}

/** The older format knows no `info`, and names a counter by its sample. */
function headLines({ name, kind, help }: MetricRow, format: MetricsFormat): readonly string[] {
  const unit = /_(seconds|bytes)$/.exec(name)?.[1]
  if (format === 'openmetrics') {
    const units = unit === undefined || kind === 'info' ? [] : [`# UNIT ${name} ${unit}`]
    return [`# TYPE ${name} ${kind}`, ...units, `# HELP ${name} ${escaped(help)}`]
  }
  const shown = `${name}${suffixOf(kind)}`
  const plainHelp = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  return [`# HELP ${shown} ${plainHelp}`, `# TYPE ${shown} ${kind === 'info' ? 'gauge' : kind}`]
}

function suffixOf(kind: MetricRow['kind']): string {
  return kind === 'counter' ? '_total' : kind === 'info' ? '_info' : ''
}

function numberLines(
  family: Exclude<AnyFamily, Family<HistogramCell> | Family<SummaryCell>>,
  format: MetricsFormat,
  lines: string[],
): void {
  const { name, kind, labels } = family.row
  for (const { values, cell } of family) {
    const told = kind === 'counter' ? exemplarText(cell.exemplar, 1, format) : ''
    lines.push(`${name}${suffixOf(kind)}${labelText(labels, values)} ${numberText(cell.value)}${told}`)
  }
}

function histogramLines(family: Family<HistogramCell>, format: MetricsFormat, lines: string[]): void {
  const { name, labels } = family.row
  for (const { values, cell } of family) {
    let count = 0
    for (const [i, own] of cell.counts.entries()) {
      count += own
      const bound = cell.bounds[i]
      const le = bound === undefined ? '+Inf' : Number.isInteger(bound) ? `${bound}.0` : String(bound)
      const told = exemplarText(cell.exemplars[i] ?? null, cell.exemplarValues[i] ?? 0, format)
      lines.push(`${name}_bucket${labelText([...labels, 'le'], [...values, le])} ${count}${told}`)
    }
    lines.push(`${name}_count${labelText(labels, values)} ${count}`)
    lines.push(`${name}_sum${labelText(labels, values)} ${numberText(cell.sum)}`)
  }
}

function summaryLines(family: Family<SummaryCell>, lines: string[]): void {
  const { name, labels } = family.row
  for (const { values, cell } of family) {
    lines.push(`${name}_count${labelText(labels, values)} ${cell.count}`)
    lines.push(`${name}_sum${labelText(labels, values)} ${numberText(cell.sum)}`)
  }
}

/** OpenMetrics allows an exemplar so many characters of names and values. */
const MAX_EXEMPLAR = 128

function exemplarText(exemplar: Exemplar | null, value: number, format: MetricsFormat): string {
  if (exemplar === null || format !== 'openmetrics') return ''
  const { decision, traceId } = exemplar
  const told = { trace_id: traceId, decision_id: decision }
  const labels = Object.entries(told).filter((one): one is [string, string] => one[1] !== null)
  const length = labels.flat().reduce((sum, text) => sum + text.length, 0)
  if (length === 0 || length > MAX_EXEMPLAR) return ''
  const [names, values] = [labels.map(([name]) => name), labels.map(([, text]) => text)]
  return ` # ${labelText(names, values)} ${numberText(value)}`
}

function labelText(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return ''
  return `{${names.map((name, i) => `${name}="${escaped(values[i] ?? '')}"`).join(',')}}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}
