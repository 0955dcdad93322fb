/** What gateway and authority count alike while things happen: refusals, requests to our own API, entries of the record. */

import { detectorSeverity, ENTRY_KINDS, isDetectorId, isSeverity } from '@doorward/core'
import type { Denial, FileRecord, Inbound, PipelineWatch } from '@doorward/enforcement'
import { version } from '../config/version.ts'
import { ownRows, rowsOf } from '../observability/metric-rows.ts'
import { metricsFormat, metricsText, metricsTypes } from '../observability/metrics-text.ts'
import { Metrics } from '../observability/metrics.ts'
import type { Cell } from '../observability/metrics.ts'
import type { ApiAnswered, ApiRoute } from '../transports/api-routes.ts'
import type { MetricsPort } from '../transports/metrics-route.ts'

/** Codes that mean a limit, by the limit. */
const limitOf: Readonly<Record<string, string>> = {
  limit_global: 'global',
  limit_ip: 'ip',
  limit_user: 'user',
  limit_concurrency: 'concurrency',
  limit_bytes: 'bytes',
  limits_unavailable: 'unavailable',
  session_limit: 'sessions',
  stream_limit: 'streams',
  trust_reduced: 'reduced',
}

export type IssuedKind = 'certificate' | 'token' | 'jwt-svid'

export class OwnMetrics {
  readonly metrics: Metrics
  readonly #refusals = new Map<string, Map<string, Cell>>()
  readonly #routes = new Map<ApiRoute, string>()

  constructor(part: 'gateway' | 'authority') {
    this.metrics = new Metrics(rowsOf[part])
    this.metrics.numbers(ownRows.build).cell(version, part).value = 1
    for (const limit of new Set(Object.values(limitOf))) this.metrics.numbers(ownRows.limitHits).cell(limit)
    for (const outcome of ['changed', 'unchanged', 'refused']) this.metrics.numbers(ownRows.policyReloads).cell(outcome)
  }

  /** As the admin API serves them. */
  readonly port: MetricsPort = async (accept) => {
    const format = metricsFormat(accept)
    return { type: metricsTypes[format], text: metricsText(await this.metrics.collect(), format) }
  }

  /** Counts refusals by their code, which is from our own table, and their listener. */
  watching(watch: PipelineWatch): PipelineWatch {
    return {
      identified: (identified) => watch.identified(identified),
      handshakeRefused: (remoteAddress, reason) => watch.handshakeRefused?.(remoteAddress, reason),
      refused: (inbound, denial) => {
        this.#refused(inbound, denial)
        watch.refused(inbound, denial)
      },
    }
  }

  #refused({ connection: { listener } }: Inbound, { code }: Denial): void {
    let cells = this.#refusals.get(listener)
    if (cells === undefined) this.#refusals.set(listener, (cells = new Map<string, Cell>()))
    let cell = cells.get(code)
    if (cell === undefined) cells.set(code, (cell = this.metrics.numbers(ownRows.refusals).cell(listener, code)))
    cell.add()
    const limit = limitOf[code]
    if (limit !== undefined) this.metrics.numbers(ownRows.limitHits).cell(limit).add()
  }

  readonly handshakeRefused = (listener: string, reason: string): void => {
    this.metrics.numbers(ownRows.handshakesRefused).cell(listener, reason).add()
  }

  readonly apiAnswered = ({ route, code, milliseconds }: ApiAnswered): void => {
    const name = route === null ? 'other' : this.#routeName(route)
    this.metrics.numbers(ownRows.apiRequests).cell(name, code).add()
    if (milliseconds !== null)
      this.metrics
        .histogram(ownRows.apiSeconds)
        .cell(name)
        .observe(milliseconds / 1000)
  }

  /** How an enrolment ended that was decided about. */
  readonly enrolled = (code: string): void => {
    this.metrics.numbers(ownRows.apiRequests).cell('POST /v1/enrol', code).add()
  }

  #routeName(route: ApiRoute): string {
    const known = this.#routes.get(route)
    if (known !== undefined) return known
    const name = `${route.method} ${route.path}`
    this.#routes.set(route, name)
    return name
  }

  /** Counts entries as they become durable, detections and what was issued among them. */
  countEntries(record: Pick<FileRecord, 'onDurable'>, issued: (kind: IssuedKind) => void): void {
    const appends = this.metrics.numbers(ownRows.recordAppends)
    const cells = new Map<string, Cell>()
    for (const kind of ENTRY_KINDS) cells.set(kind, appends.cell(kind))
    const detections = this.metrics.numbers(ownRows.detections)
    record.onDurable(({ kind, body }) => {
      cells.get(kind)?.add()
      if (kind === 'detection') {
        const { detector, severity, ended } = body as Readonly<Record<'detector' | 'severity' | 'ended', unknown>>
        const name = typeof detector === 'string' && isDetectorId(detector) ? detector : 'other'
        const weight = isSeverity(severity) ? severity : detectorSeverity(name)
        if (ended !== true) detections.cell(name, weight).add()
      } else if (kind === 'issuance') {
        const { phase, outcome } = body as { readonly phase?: unknown; readonly outcome?: unknown }
        if (phase === 'token' || phase === 'jwt-svid') issued(phase)
        else if (outcome === 'issued') issued('certificate')
      }
    })
  }
}
