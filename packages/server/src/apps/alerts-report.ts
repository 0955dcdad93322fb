/** What stands of the findings of the parts on this machine, and how their webhooks fare, as their files tell. Needs no running part. */

import { join } from 'node:path'
import { detectorSeverity, isDoorwardError, isJsonObject, severities } from '@doorward/core'
import type { JsonObject, JsonValue, Severity } from '@doorward/core'
import { docsOf } from '../audit/alert/alert.ts'
import { alertKind } from './alert-webhooks.ts'
import { isRunning, reportExports } from './audit-exports-report.ts'
import type { ExportReport } from './audit-exports-report.ts'
import { readFindings } from './detection-file.ts'
import type { LogPlace } from './log-places.ts'

export interface RaisedAlert {
  /** The log of the part that tells of it; for alarms of an authority its name, or the gateway that has told it. */
  readonly origin: string
  readonly detector: string
  readonly subject: string
  readonly severity: Severity
  readonly text: string
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly entry: string | null
  readonly docs: string
}

export interface PartReport {
  readonly origin: string
  /** `none`: it has never looked. `stopped`: what stands is what stood when it ended. */
  readonly state: 'runs' | 'stopped' | 'none' | 'unreadable'
  readonly raised: readonly RaisedAlert[]
}

export async function reportPart({ origin, folder }: LogPlace): Promise<PartReport> {
  try {
    const kept = await readFindings(join(folder, '..'))
    if (kept === null) return { origin, state: 'none', raised: [] }
    const raised = kept.findings.map(({ detail, ...one }) => ({
      origin,
      ...one,
      text: detail,
      docs: docsOf(one.detector),
    }))
    return { origin, state: isRunning(kept.pid) ? 'runs' : 'stopped', raised }
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    return { origin, state: 'unreadable', raised: [] }
  }
}

/** How each webhook of each log fares. */
export function reportWebhooks(
  places: readonly LogPlace[],
  webhooks: readonly { readonly name: string }[],
): Promise<readonly ExportReport[]> {
  return reportExports(
    places,
    webhooks.map(({ name }) => ({ name, kind: alertKind })),
    'alerts',
  )
}

/** Alarms say when they were last raised, not whether they are over: an hour later they are past. */
const OPEN_MILLISECONDS = 3_600_000

/** Open alarms in the store of an authority, as its status tells them. */
export function openAlarms(status: JsonObject, now: number): readonly RaisedAlert[] {
  const { alarms } = status
  const listed = Array.isArray(alarms) ? (alarms as readonly JsonValue[]).filter(isJsonObject) : []
  return listed.flatMap(({ detector, subject, detail, first_at, last_at, source }) => {
    if (typeof detector !== 'string' || typeof subject !== 'string') return []
    if (typeof first_at !== 'number' || typeof last_at !== 'number' || now - last_at > OPEN_MILLISECONDS) return []
    const origin = typeof source === 'string' ? source : 'authority'
    const text = typeof detail === 'string' ? detail : ''
    const severity = detectorSeverity(detector)
    return [{ origin, detector, subject, severity, text, since: first_at, entry: null, docs: docsOf(detector) }]
  })
}

/** Without those that a part of this machine tells of itself; the most severe first. */
export function together(own: readonly RaisedAlert[], alarms: readonly RaisedAlert[]): readonly RaisedAlert[] {
  const known = new Set(own.map(({ detector, subject }) => `${detector} ${subject}`))
  const all = [...own, ...alarms.filter(({ detector, subject }) => !known.has(`${detector} ${subject}`))]
  const rank = ({ severity }: RaisedAlert) => severities.indexOf(severity)
  return all.toSorted((a, b) => rank(b) - rank(a) || b.since - a.since)
}
