/** What a sidecar has done since its start, in numbers: of its record, and of what its outbound side does without one. */

import { toSeconds } from '@doorward/core'
import type { ConnectedIdentity, OpenRecord, Runtime } from '@doorward/sdk'
import { version } from '../../config/version.ts'
import { ownRows, rowsOf, sidecarRows } from '../../observability/metric-rows.ts'
import { metricsText, metricsTypes } from '../../observability/metrics-text.ts'
import { Metrics } from '../../observability/metrics.ts'
import { collectProcess } from '../own-gauges.ts'
import type { OutboundListener } from './outbound.ts'

export interface SidecarFacts {
  readonly identity: ConnectedIdentity
  readonly record: Pick<OpenRecord, 'log'>
  readonly runtime: Pick<Runtime, 'wall'>
  readonly ready: () => boolean
}

/** As `doorward sidecar status --json` has it. */
export interface SidecarStatus {
  readonly version: string
  readonly ready: boolean
  /** SPIFFE ID. */
  readonly id: string
  /** Until its certificate ends; 0 when it has none. */
  readonly certificate_seconds: number
  /** Since the authority has confirmed the trust state; null before it has the first time. */
  readonly trust_age_seconds: number | null
  readonly record: { readonly origin: string; readonly state: string; readonly entries: number }
  readonly inbound: Way | null
  readonly outbound: readonly (Way & { readonly to: string; readonly id: string })[]
  /** Refused since the start, by direction and code. */
  readonly refusals: readonly { readonly direction: Direction; readonly code: string; readonly count: number }[]
}

export interface Way {
  /** Where it listens. */
  readonly at: string
  /** Ended since the start. */
  readonly calls: number
  readonly under_way: number
}

type Direction = 'in' | 'out'

interface Place {
  readonly host: string
  readonly port: number
}

/** Codes are ours; no more of them than this is told apart. */
const MAX_CODES = 256

export class SidecarNumbers {
  readonly #facts: SidecarFacts
  readonly #refusals = new Map<string, { readonly direction: Direction; readonly code: string; count: number }>()
  readonly #metrics = new Metrics(rowsOf.sidecar)
  #inbound: string | null = null
  #outbound: readonly (OutboundListener & { readonly to: string; readonly id: string })[] = []
  #ended = 0
  #inside = 0

  constructor(facts: SidecarFacts) {
    this.#facts = facts
    facts.record.log.onDurable(({ kind, body }) => this.#durable(kind, body as Readonly<Record<string, unknown>>))
    this.#metrics.numbers(ownRows.build).cell(version, 'sidecar').value = 1
    this.#metrics.onScrape(() => this.#collect())
    this.#metrics.onScrape(() => collectProcess(this.#metrics))
  }

  /** From when on it serves. */
  serves(inbound: Place | null, outbound: readonly (OutboundListener & { to: string; id: string })[]): void {
    this.#inbound = inbound === null ? null : `${inbound.host}:${inbound.port}`
    this.#outbound = outbound
  }

  /** A call reaches the program; what is returned says that it has ended. */
  readonly enters = (): (() => void) => {
    this.#inside++
    return () => this.#inside--
  }

  status(): SidecarStatus {
    const { identity, record, ready } = this.#facts
    const { origin, state, size } = record.log.stats()
    const age = identity.identity.trust.ageSeconds()
    return {
      version,
      ready: ready(),
      id: identity.id.uri,
      certificate_seconds: this.#certificateSeconds(),
      trust_age_seconds: Number.isFinite(age) ? Math.round(age) : null,
      record: { origin, state, entries: size },
      inbound: this.#inbound === null ? null : { at: this.#inbound, calls: this.#ended, under_way: this.#inside },
      outbound: this.#outbound.map((one) => ({ at: one.at, to: one.to, id: one.id, ...waysOf(one) })),
      refusals: [...this.#refusals.values()],
    }
  }

  /** Prometheus text. */
  async metrics(): Promise<{ readonly type: string; readonly text: string }> {
    return { type: metricsTypes.prometheus, text: metricsText(await this.#metrics.collect(), 'prometheus') }
  }

  #certificateSeconds(): number {
    const { identity, runtime } = this.#facts
    const certificate = identity.identity.credentials.peek()?.certificate
    return certificate === undefined ? 0 : Math.max(0, certificate.notAfter - toSeconds(runtime.wall()))
  }

  /** The record has both: calls in one by one, and what was refused outward by who asked (`local …`). */
  #durable(kind: string, body: Readonly<Record<string, unknown>>): void {
    if (kind === 'outcome') this.#ended++
    else if (kind === 'decision' && body['decision'] === 'deny') this.#refused('in', body['code'], 1)
    else if (kind === 'refusals') {
      const { source, reason, count } = body
      this.#refused(typeof source === 'string' && source.startsWith('local ') ? 'out' : 'in', reason, count)
    }
  }

  #refused(direction: Direction, code: unknown, count: unknown): void {
    // The cause follows the code.
    const [name = 'other'] = typeof code === 'string' ? code.split(' ') : []
    const known = this.#refusals.size < MAX_CODES || this.#refusals.has(`${direction} ${name}`) ? name : 'other'
    const key = `${direction} ${known}`
    const cell = this.#refusals.get(key) ?? { direction, code: known, count: 0 }
    cell.count += typeof count === 'number' ? count : 1
    this.#refusals.set(key, cell)
  }

  #collect(): void {
    const { ready, inbound, outbound, record, certificate_seconds, trust_age_seconds, refusals } = this.status()
    const metrics = this.#metrics
    metrics.set(ownRows.ready, ready ? 1 : 0)
    metrics.set(ownRows.certificateSeconds, certificate_seconds)
    metrics.set(ownRows.trustAge, trust_age_seconds ?? Number.POSITIVE_INFINITY)
    metrics.set(ownRows.recordEntries, record.entries)
    for (const [direction, ways] of [
      ['in', inbound === null ? [] : [inbound]],
      ['out', outbound],
    ] as const) {
      const sum = (of: (way: Way) => number) => ways.reduce((all, way) => all + of(way), 0)
      metrics.numbers(sidecarRows.calls).cell(direction).value = sum(({ calls }) => calls)
      metrics.numbers(sidecarRows.underWay).cell(direction).value = sum(({ under_way: now }) => now)
    }
    for (const { direction, code, count } of refusals)
      metrics.numbers(sidecarRows.refusals).cell(direction, code).value = count
  }
}

function waysOf(listener: OutboundListener): Pick<Way, 'calls' | 'under_way'> {
  const { calls, underWay } = listener.numbers()
  return { calls, under_way: underWay }
}
