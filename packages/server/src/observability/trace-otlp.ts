/** Spans as `ExportTraceServiceRequest` of opentelemetry-proto 1.x in its JSON encoding. Pure. */

import type { JsonObject } from '@doorward/core'

/** As opentelemetry-proto numbers them. */
export const spanKinds = { internal: 1, server: 2, client: 3 } as const

export interface Span {
  /** Hexadecimal digits, as OTLP's JSON has ids. */
  readonly traceId: string
  readonly spanId: string
  /** Null for a root. */
  readonly parentId: string | null
  readonly name: string
  readonly kind: keyof typeof spanKinds
  /** Milliseconds since 1970, with fractions. */
  readonly start: number
  readonly end: number
  /** Those that are null are left out. */
  readonly attributes: Readonly<Record<string, string | number | null>>
  readonly failed: boolean
}

export interface TraceResource {
  readonly serviceName: string
  readonly instance: string
  readonly version: string
}

const STATUS_ERROR = 2

export function traceBody(spans: readonly Span[], { serviceName, instance, version }: TraceResource): string {
  const about = { 'service.name': serviceName, 'service.instance.id': instance, 'service.version': version }
  const scope = { name: 'doorward.gateway', version }
  const scopeSpans = [{ scope, spans: spans.map(spanDocument) }]
  return JSON.stringify({ resourceSpans: [{ resource: { attributes: attributesOf(about) }, scopeSpans }] })
}

function spanDocument({ traceId, spanId, parentId, name, kind, start, end, attributes, failed }: Span): JsonObject {
  return {
    traceId,
    spanId,
    ...(parentId === null ? {} : { parentSpanId: parentId }),
    name,
    kind: spanKinds[kind],
    startTimeUnixNano: nanoseconds(start),
    endTimeUnixNano: nanoseconds(Math.max(start, end)),
    attributes: attributesOf(attributes),
    ...(failed ? { status: { code: STATUS_ERROR } } : {}),
  }
}

/** Of milliseconds, by way of whole microseconds: those are exact. */
function nanoseconds(milliseconds: number): string {
  return `${Math.round(milliseconds * 1000)}000`
}

function attributesOf(attributes: Span['attributes']): readonly JsonObject[] {
  return Object.entries(attributes).flatMap(([key, value]) => {
    if (value === null) return []
    return [{ key, value: typeof value === 'string' ? { stringValue: value } : { intValue: String(value) } }]
  })
}
