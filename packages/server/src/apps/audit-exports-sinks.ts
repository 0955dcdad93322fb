/** The sink of each configured export. */

import { fileSink } from '../audit/export/file-sink.ts'
import { otlpSink } from '../audit/export/otlp-sink.ts'
import type { ExportSink } from '../audit/export/sink.ts'
import { syslogSink } from '../audit/export/syslog-sink.ts'
import { webhookSink } from '../audit/export/webhook-sink.ts'
import type { BatchLimits } from '../audit/export/batches.ts'
import type { ExportPlace } from '../config/audit-exports.ts'
import type { Clock } from '@doorward/core'

export interface SinkTools {
  /** The log whose entries are exported. */
  readonly origin: string
  readonly clock: Clock
  readonly version: string
  /** Host name of this machine. */
  readonly machine: string
}

export function sinkOf(place: ExportPlace, { origin, clock, version, machine }: SinkTools): ExportSink {
  switch (place.kind) {
    case 'syslog':
      return syslogSink({ ...place, machine })
    case 'otlp':
      return otlpSink({ ...place, version })
    case 'webhook':
      return webhookSink({ ...place, clock })
    case 'file':
      return fileSink({ ...place, origin })
  }
}

const megabyte = 1024 * 1024

/** A syslog batch takes a connection of its own: fewer and larger ones. */
export function batchLimitsOf({ kind }: ExportPlace): BatchLimits {
  return kind === 'syslog'
    ? { entries: 1000, characters: megabyte, lingerMilliseconds: 1000 }
    : { entries: 256, characters: megabyte, lingerMilliseconds: 50 }
}
