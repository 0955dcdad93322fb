/** Spans on their way to a collector: a bounded queue and a loop. No call ever waits for it; what has no room is dropped and counted. */

import type { Secret } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import { pauseAfter } from '../audit/export/backoff.ts'
import { HttpPost } from '../audit/export/http-post.ts'
import type { HttpAnswer, HttpTarget } from '../audit/export/http-post.ts'
import { rejectedOf } from '../audit/export/otlp.ts'
import { DeliveryError } from '../audit/export/sink.ts'
import { gatewayRows } from '../observability/metric-rows.ts'
import type { Cell, Metrics } from '../observability/metrics.ts'
import { traceBody } from '../observability/trace-otlp.ts'
import type { Span, TraceResource } from '../observability/trace-otlp.ts'

export interface TraceExporterParts {
  readonly target: HttpTarget
  /** Value of the Authorization header, read for each batch; null sends none. */
  readonly authorization: (() => Promise<Secret>) | null
  readonly resource: TraceResource
  readonly metrics: Metrics
  readonly chance: () => number
  /** How long a batch waits for more; 500 by default. */
  readonly lingerMilliseconds?: number
  /** For the process log, and loudly for the operator: when the collector begins to fail, and when it is back. */
  readonly warn: (code: string, text: string) => void
}

/** Spans of one call, made when they are sent. */
export type PendingSpans = () => readonly Span[]

/** Calls whose spans wait. */
const MAX_WAITING = 2048
const BATCH_CALLS = 128
const LINGER_MILLISECONDS = 500
/** What is left when the process stops gets one attempt of this length. */
const LAST_MILLISECONDS = 1000
/** Statuses after which OTLP has the same batch sent again. */
const again: ReadonlySet<number> = new Set([429, 502, 503, 504])

export class TraceExporter {
  readonly #parts: TraceExporterParts
  readonly #post: HttpPost
  readonly #cells: Readonly<Record<'exported' | 'dropped' | 'rejected', Cell>>
  #waiting: PendingSpans[] = []
  #failures = 0

  constructor(parts: TraceExporterParts) {
    this.#parts = parts
    this.#post = new HttpPost(parts.target)
    const spans = parts.metrics.numbers(gatewayRows.spans)
    this.#cells = { exported: spans.cell('exported'), dropped: spans.cell('dropped'), rejected: spans.cell('rejected') }
  }

  /** Takes the spans of a call, or drops them where too many wait. Never waits, never fails. */
  add(spans: PendingSpans): void {
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(spans)
    else this.#cells.dropped.add(spans().length)
  }

  /** Sends until the signal aborts, and what is left then once. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await timerSleep(this.#parts.lingerMilliseconds ?? LINGER_MILLISECONDS, signal)
      while (this.#waiting.length > 0 && !signal.aborted) await this.#sendNext(signal)
    }
    const last = AbortSignal.timeout(LAST_MILLISECONDS)
    while (this.#waiting.length > 0 && !last.aborted && this.#failures === 0) await this.#sendNext(last)
    for (const spans of this.#waiting) this.#cells.dropped.add(spans().length)
    this.#post.close()
  }

  /** One batch, until it is taken or given up; while it waits for the collector, the queue takes what comes, as far as it goes. */
  async #sendNext(signal: AbortSignal): Promise<void> {
    const spans = this.#waiting.splice(0, BATCH_CALLS).flatMap((pending) => pending())
    const body = traceBody(spans, this.#parts.resource)
    while (!signal.aborted) {
      const failure = await this.#attempt(body, spans.length, signal)
      if (failure === null) return
      this.#fails(failure)
      if (failure.final) break
      await timerSleep(pauseAfter(this.#failures, this.#parts.chance(), failure.retryAfterMilliseconds), signal)
    }
    this.#cells.dropped.add(spans.length)
  }

  /** Null when the batch was taken. */
  async #attempt(body: string, count: number, signal: AbortSignal): Promise<Failure | null> {
    try {
      const { authorization } = this.#parts
      const headers = authorization === null ? {} : { authorization: (await authorization()).reveal() }
      const answer = await this.#post.send(body, headers, signal)
      const rejected = answer.status === 200 ? rejectedOf(answer.body, 'rejectedSpans') : null
      if (rejected === null || rejected > count) return refusedBy(answer)
      this.#cells.exported.add(count - rejected)
      this.#cells.rejected.add(rejected)
      this.#delivers()
      return null
    } catch (error) {
      const retryAfterMilliseconds = error instanceof DeliveryError ? error.retryAfterMilliseconds : null
      return { final: false, text: error instanceof Error ? error.message : String(error), retryAfterMilliseconds }
    }
  }

  #fails({ text }: Failure): void {
    this.#failures += 1
    if (this.#failures > 1) return
    const { url } = this.#parts.target
    this.#parts.warn(
      'tracing_failing',
      `traces are not taken by ${url}: ${text}; what does not fit in the queue is dropped`,
    )
  }

  #delivers(): void {
    if (this.#failures > 0)
      this.#parts.warn('tracing_delivering', `traces are taken by ${this.#parts.target.url} again`)
    this.#failures = 0
  }
}

interface Failure {
  /** The same batch is not sent again. */
  readonly final: boolean
  readonly text: string
  readonly retryAfterMilliseconds: number | null
}

function refusedBy({ status, retryAfterMilliseconds }: HttpAnswer): Failure {
  const text = status === 200 ? 'the answer is none of OTLP' : `status ${status}`
  return { final: !again.has(status), text, retryAfterMilliseconds }
}
