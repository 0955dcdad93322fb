/** What a gateway counts of its calls, and reads off itself. */

import { gatewayRows } from '../observability/metric-rows.ts'
import type { Cell, Exemplar, HistogramCell, Metrics } from '../observability/metrics.ts'
import type { SessionTable } from '../transports/session.ts'
import type { CallReport } from '../transports/streamable-http.ts'

type ByCode = Map<string, Cell>

/** The cells of one server, found once. */
interface ServerCells {
  readonly name: string
  readonly calls: Readonly<Record<'allow' | 'deny', Map<string, ByCode>>>
  readonly whole: HistogramCell
  readonly own: HistogramCell
  readonly upstreamCalls: Cell
  readonly upstreamFailures: ByCode
  readonly upstream: HistogramCell
}

/** Codes by which a call fails though it was allowed: the server's doing. */
const upstreamCodes: readonly string[] = ['upstream_unavailable', 'upstream_invalid', 'upstream_timeout']

export class GatewayMetrics {
  readonly #metrics: Metrics
  readonly #servers: ReadonlyMap<string, ServerCells>
  readonly #recordWait: HistogramCell

  /** `servers`: the configured names. */
  constructor(metrics: Metrics, servers: readonly string[]) {
    this.#metrics = metrics
    this.#servers = new Map(servers.map((name) => [name, cellsOf(metrics, name)]))
    this.#recordWait = metrics.histogram(gatewayRows.recordWait).cell()
  }

  /** Counts a call that has ended, and shows the newest as an example. */
  call(report: CallReport): void {
    const { server, code, outcome } = report
    const cells = this.#servers.get(server ?? '')
    if (cells === undefined) return
    // The report itself would hold whatever the caller has named, for as long as no newer call comes.
    const exemplar = { decision: report.decision, traceId: report.traceId }
    const cell = this.#callCell(cells, report)
    cell.add()
    cell.exemplar = exemplar
    if (outcome === null) return
    cells.upstreamCalls.add()
    cells.upstreamFailures.get(code)?.add()
    this.#observe(cells, report, exemplar)
  }

  #observe({ upstream, own, whole }: ServerCells, { times, stream }: CallReport, exemplar: Exemplar): void {
    const { started, admitted, decided, answered, closed } = times
    this.#recordWait.observe((decided - admitted) / 1000, exemplar)
    // It begins when the server has something to say, and lasts: that says nothing about anybody.
    if (stream === 'session') return
    const waited = (answered === 0 ? closed : answered) - decided
    upstream.observe(waited / 1000, exemplar)
    // Between the parts of a stream it is the server that we wait for.
    own.observe((stream === 'none' ? closed - started - waited : decided - started) / 1000, exemplar)
    whole.observe((closed - started) / 1000, exemplar)
  }

  #callCell({ name, calls }: ServerCells, { group, code, outcome }: CallReport): Cell {
    const decision = outcome === null ? 'deny' : 'allow'
    const shown = group ?? 'none'
    const byGroup = calls[decision]
    let byCode = byGroup.get(shown)
    if (byCode === undefined) byGroup.set(shown, (byCode = new Map()))
    const known = byCode.get(code)
    if (known !== undefined) return known
    const cell = this.#metrics.numbers(gatewayRows.calls).cell(name, shown, decision, code)
    byCode.set(code, cell)
    return cell
  }
}

function cellsOf(metrics: Metrics, name: string): ServerCells {
  const failures = metrics.numbers(gatewayRows.upstreamFailures)
  return {
    name,
    calls: { allow: new Map(), deny: new Map() },
    whole: metrics.histogram(gatewayRows.callSeconds).cell(name),
    own: metrics.histogram(gatewayRows.ownSeconds).cell(name),
    upstreamCalls: metrics.numbers(gatewayRows.upstreamCalls).cell(name),
    upstreamFailures: new Map(upstreamCodes.map((code) => [code, failures.cell(name, code)])),
    upstream: metrics.histogram(gatewayRows.upstreamSeconds).cell(name),
  }
}

export function collectCalls(
  metrics: Metrics,
  { open, sessions }: { readonly open: { readonly size: number }; readonly sessions: SessionTable },
): void {
  metrics.onScrape(() => {
    metrics.set(gatewayRows.callsOpen, open.size)
    metrics.set(gatewayRows.sessions, sessions.size)
    metrics.set(gatewayRows.streams, sessions.streams)
  })
}
