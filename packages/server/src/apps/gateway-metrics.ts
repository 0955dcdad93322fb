/** What a gateway counts of its calls, and reads off itself. */

import type { Clock, EpochMillis } from '@doorward/core'
import { approvalEvents } from '@doorward/enforcement'
import type { ApprovalDesk, SessionTable } from '@doorward/enforcement'
import { gatewayRows } from '../observability/metric-rows.ts'
import type { Cell, Exemplar, HistogramCell, Metrics } from '../observability/metrics.ts'
import type { Circuit, CircuitState } from '../transports/circuit.ts'
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

/** Codes of calls that were allowed and have not been sent. */
export const notSentCodes: ReadonlySet<string> = new Set(['upstream_circuit_open', 'upstream_busy'])

export class GatewayMetrics {
  readonly #metrics: Metrics
  readonly #servers = new Map<string, ServerCells>()
  readonly #recordWait: HistogramCell

  /** `servers`: the configured names. */
  constructor(metrics: Metrics, servers: readonly string[]) {
    this.#metrics = metrics
    this.follow(servers)
    this.#recordWait = metrics.histogram(gatewayRows.recordWait).cell()
  }

  /** Counts calls of these as well; what was counted of others stays. */
  follow(servers: readonly string[]): void {
    for (const name of servers) if (!this.#servers.has(name)) this.#servers.set(name, cellsOf(this.#metrics, name))
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
    if (outcome === null || notSentCodes.has(code)) return
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

/** Readings of the whole configuration by their result. */
export function collectReloads(
  metrics: Metrics,
  reload: { numbers(): Readonly<Record<'changed' | 'unchanged' | 'refused', number>> },
): void {
  metrics.onScrape(() => {
    for (const [outcome, count] of Object.entries(reload.numbers()))
      metrics.numbers(gatewayRows.reloads).cell(outcome).value = count
  })
}

/** 0 while the edge has no certificate. */
export function collectEdge(metrics: Metrics, ends: () => EpochMillis | null, now: Clock): void {
  metrics.onScrape(() => {
    const end = ends()
    const left = end === null ? 0 : Math.max(0, Math.floor((end - now()) / 1000))
    metrics.numbers(gatewayRows.edgeCertificateSeconds).cell('edge').value = left
  })
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

/** Requests for approvals, and what has become of them. */
export function collectApprovals(metrics: Metrics, desk: Pick<ApprovalDesk, 'counts' | 'events'>): void {
  metrics.onScrape(() => {
    const { waiting, ...states } = desk.counts()
    metrics.set(gatewayRows.approvalsWaiting, waiting)
    for (const [state, count] of Object.entries(states))
      metrics.numbers(gatewayRows.approvals).cell(state).value = count
    const events = desk.events()
    for (const event of approvalEvents)
      metrics.numbers(gatewayRows.approvalEvents).cell(event).value = events.get(event) ?? 0
  })
}

const circuitStates: readonly CircuitState[] = ['closed', 'open', 'half-open']

type WithCircuits = ReadonlyMap<string, { readonly circuit: Circuit }>

/** Servers come and go: those are told of that there are. */
export function collectCircuits(metrics: Metrics, ...all: readonly WithCircuits[]): void {
  const family = metrics.numbers(gatewayRows.circuit)
  metrics.onScrape(() => {
    const now = performance.now()
    family.clear()
    for (const [name, { circuit }] of all.flatMap((servers) => [...servers])) {
      const state = circuit.state(now)
      for (const one of circuitStates) family.cell(name, one).value = one === state ? 1 : 0
    }
  })
}
