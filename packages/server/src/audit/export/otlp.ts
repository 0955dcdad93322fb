/** Events as OTLP logs: `ExportLogsServiceRequest` of opentelemetry-proto 1.x in its JSON encoding, and the answer to it. Pure. */

import type { JsonObject } from '@doorward/core'
import type { ExportEvent } from './sink.ts'

/** SeverityNumber and text by OCSF severity: INFO, WARN, ERROR, FATAL. */
const severities: Readonly<Record<number, readonly [number: number, text: string]>> = {
  1: [9, 'INFO'],
  2: [10, 'INFO2'],
  3: [13, 'WARN'],
  4: [17, 'ERROR'],
  5: [21, 'FATAL'],
}

/** One resource, one scope; the body of a record is the OCSF event as text. 64-bit integers are decimal texts, as the mapping of protobuf to JSON has them. */
export function otlpBody(batch: readonly ExportEvent[], version: string): string {
  const origin = batch[0]?.origin ?? ''
  const resource = { attributes: [text('service.name', 'doorward'), text('service.instance.id', origin)] }
  const scope = { name: 'doorward.audit', version }
  return JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: batch.map(logRecord) }] }] })
}

function logRecord({ origin, index, kind, time, severity, json }: ExportEvent): JsonObject {
  const [severityNumber, severityText] = severities[severity] ?? [0, '']
  const timeUnixNano = `${time}000000`
  return {
    timeUnixNano,
    observedTimeUnixNano: timeUnixNano,
    severityNumber,
    severityText,
    body: { stringValue: json },
    attributes: [
      text('event.name', `doorward.${kind}`),
      text('doorward.origin', origin),
      { key: 'doorward.index', value: { intValue: String(index) } },
      text('doorward.kind', kind),
    ],
  }
}

function text(key: string, stringValue: string): JsonObject {
  return { key, value: { stringValue } }
}

/** How many records or spans an answer of OTLP has rejected; null for what is no answer. An empty one has taken everything. */
export function rejectedOf(
  answer: string,
  member: 'rejectedLogRecords' | 'rejectedSpans' = 'rejectedLogRecords',
): number | null {
  if (answer.trim() === '') return 0
  try {
    const value: unknown = JSON.parse(answer)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
    const { partialSuccess } = value as { partialSuccess?: Partial<Record<typeof member, unknown>> | null }
    const rejected = Number(partialSuccess?.[member] ?? 0)
    return Number.isSafeInteger(rejected) && rejected >= 0 ? rejected : null
  } catch {
    return null
  }
}
