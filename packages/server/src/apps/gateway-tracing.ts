/** The traces of a gateway, put together: whose calls have one, and the way of their spans to the collector. */

import type { Clock } from '@doorward/core'
import { randomBytes, systemRuntime } from '@doorward/sdk'
import type { TracingSettings } from '../config/tracing.ts'
import { version } from '../config/version.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { BeginTrace } from '../transports/call-trace.ts'
import type { CallReport } from '../transports/streamable-http.ts'
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
