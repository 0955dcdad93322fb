/** A finding as receivers hear of it: one JSON document each, its schema versioned. */

import { detectorSeverity, isAtLeast, isSeverity } from '@doorward/core'
import type { JsonValue, Severity } from '@doorward/core'
import { asciiJson } from '../export/ascii-json.ts'
import { severityIdOf } from '../export/ocsf.ts'
import type { ExportEvent } from '../export/sink.ts'
import type { LoggedEntry } from '../read.ts'

export interface Alert {
  readonly v: 1
  /** `test` is none: somebody has asked whether the receiver hears. */
  readonly phase: 'begun' | 'ended' | 'test'
  /** The same for the beginning and the end of one finding, and for whatever comes twice. */
  readonly id: string
  readonly detector: string
  readonly subject: string
  readonly severity: Severity
  readonly text: string
  /** Milliseconds since the epoch; null where the record does not say. */
  readonly started: number | null
  readonly ended: number | null
  /** The log, hence the part, that tells of it. */
  readonly origin: string
  /** Name of the entry, as a decision id; null for what could not be recorded yet. */
  readonly entry: string | null
  /** Who has seen it, where that is somebody else. */
  readonly source: string | null
  /** What it means and what to do, in the documents of the project. */
  readonly docs: string
}

/** Which findings a receiver wants. */
export interface AlertFilter {
  readonly minimum: Severity
  /** Detectors; null for all. */
  readonly kinds: ReadonlySet<string> | null
}

const MAX_TEXT = 1024

export function isWanted({ severity, detector }: Pick<Alert, 'severity' | 'detector'>, filter: AlertFilter): boolean {
  return isAtLeast(severity, filter.minimum) && (filter.kinds === null || filter.kinds.has(detector))
}

/** Null for entries that tell of no finding. */
export function alertOf({ origin, index, entry }: LoggedEntry): Alert | null {
  if (entry.kind !== 'detection') return null
  const { body, time } = entry
  const detector = text(body['detector']) ?? 'unknown'
  const subject = text(body['subject']) ?? ''
  const isOver = body['ended'] === true
  const since = whole(body['since'])
  const severity = isSeverity(body['severity']) ? body['severity'] : detectorSeverity(detector)
  const started = since ?? (isOver ? null : time)
  return {
    v: 1,
    phase: isOver ? 'ended' : 'begun',
    id: alertId({ origin, detector, subject, started }),
    detector,
    subject,
    severity,
    text: text(body['detail']) ?? text(body['reason']) ?? '',
    started,
    ended: isOver ? (whole(body['ended_at']) ?? time) : null,
    origin,
    entry: `${origin}#${index}`,
    source: text(body['source']) ?? null,
    docs: docsOf(detector),
  }
}

export function alertId({
  origin,
  detector,
  subject,
  started,
}: Pick<Alert, 'origin' | 'detector' | 'subject' | 'started'>): string {
  return `${origin} ${detector} ${subject} ${started ?? 'unknown'}`
}

/** The section about a detector, in the documents of the project. */
export function docsOf(detector: string): string {
  return /^[a-z_]+$/.test(detector)
    ? 'docs/detectors.md#findings-by-rate-and-state'
    : 'docs/detectors.md#alarms-what-the-authority-notices-by-itself'
}

/** What goes over the wire. */
export function alertJson(alert: Alert): string {
  return asciiJson({ ...alert } satisfies Record<keyof Alert, JsonValue>)
}

/** An entry for one receiver: empty where it is nothing that the receiver wants. */
export function alertEvent(entry: LoggedEntry, filter: AlertFilter): ExportEvent {
  const alert = alertOf(entry)
  const wanted = alert !== null && isWanted(alert, filter)
  const { origin, index } = entry
  const severity = severityIdOf(alert?.severity)
  const json = wanted ? alertJson(alert) : ''
  return { origin, index, kind: entry.entry.kind, time: entry.entry.time, severity, json }
}

/** Entries that were deleted before they were looked at: perhaps there were findings among them. */
export function alertGap(gap: {
  readonly origin: string
  readonly from: number
  readonly to: number
  readonly time: number
}): ExportEvent {
  const { origin, from, to, time } = gap
  const detector = 'record_lag'
  const subject = 'record'
  const json = alertJson({
    v: 1,
    phase: 'begun',
    id: alertId({ origin, detector, subject, started: time }),
    detector,
    subject,
    severity: 'high',
    text: `entries ${from} to ${to - 1} were deleted before they were looked at: findings among them were not told here`,
    started: time,
    ended: null,
    origin,
    entry: null,
    source: null,
    docs: docsOf(detector),
  })
  return { origin, index: from, kind: 'gap', time, severity: severityIdOf('high'), json }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : undefined
}

function whole(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
