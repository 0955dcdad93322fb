/** The traces of a gateway, put together: whose calls have one, and the way of their spans to the collector. */

import type { Clock } from '@doorward/core'
import type { BeginTrace } from '@doorward/enforcement'
import { randomBytes, systemRuntime } from '@doorward/sdk'
import type { TracingSettings } from '../config/tracing.ts'
import { version } from '../config/version.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { ApiTraces } from '../transports/api-routes.ts'
import type { CallReport } from '../transports/streamable-http.ts'
import { ReplaceableLoop } from './replaceable-loop.ts'
import { bounded, GatewayTrace, spansOf, traceBeginner } from './gateway-traces.ts'
import { TraceExporter } from './trace-exporter.ts'

export interface GatewayTracing {
  /** Undefined when traces are off. */
  readonly beginTrace: BeginTrace | undefined
  /** Takes the spans of a call that has ended. */
  ended(call: CallReport): void
  /** Sends until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>
}

export interface TracingParts {
  readonly tracing: TracingSettings | null
  /** SPIFFE ID of the gateway. */
  readonly instance: string
  readonly clock: Clock
  readonly metrics: Metrics
  readonly warn: (code: string, text: string) => void
}

const TIMEOUT_MILLISECONDS = 10_000

const off: GatewayTracing = { beginTrace: undefined, ended: () => undefined, run: async () => undefined }

export function openTracing({ tracing, instance, clock, metrics, warn }: TracingParts): GatewayTracing {
  if (tracing === null) return off
  const { url, ratio, serviceName, tls, authorization } = tracing
  const { chance } = systemRuntime
  const exporter = new TraceExporter({
    target: { url, tls, timeoutMilliseconds: TIMEOUT_MILLISECONDS },
    authorization,
    resource: { serviceName, instance, version },
    metrics,
    chance,
    warn,
  })
  return {
    beginTrace: traceBeginner({ ratio, random: randomBytes, chance }),
    ended(call) {
      const { trace } = call
      if (!(trace instanceof GatewayTrace) || !trace.sampled) return
      const origin = clock() - performance.now()
      const kept = bounded(call)
      exporter.add(() => spansOf(kept, trace, { origin, random: randomBytes }))
    },
    run: (signal) => exporter.run(signal),
  }
}

/** Traces that another configuration may change: calls that have begun end where they can still be sent. */
export class LiveTracing implements GatewayTracing {
  readonly #loop: ReplaceableLoop
  #current: GatewayTracing

  constructor(first: GatewayTracing) {
    this.#current = first
    this.#loop = new ReplaceableLoop((signal) => first.run(signal))
  }

  readonly beginTrace: BeginTrace = (head) => this.#current.beginTrace?.(head) ?? null

  ended(call: CallReport): void {
    this.#current.ended(call)
  }

  /** For requests to our own API. */
  readonly ofApi: ApiTraces = {
    begin: (head) => this.beginTrace(head),
    monotonic: () => performance.now(),
    ended: (report) => this.ended(report),
  }

  replace(next: GatewayTracing): void {
    this.#current = next
    this.#loop.replace((signal) => next.run(signal))
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal)
  }
}
