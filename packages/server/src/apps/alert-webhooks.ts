/** The webhooks that hear of findings: each follows the log with a cursor of its own, and nothing is lost over a crash. */

import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { FileRecord, Redaction, StandingFinding } from '@doorward/enforcement'
import { systemRuntime, timerSleep } from '@doorward/sdk'
import { alertEvent, alertGap, alertId, alertJson, docsOf, isWanted } from '../audit/alert/alert.ts'
import type { Alert } from '../audit/alert/alert.ts'
import { alertSink } from '../audit/alert/alert-sink.ts'
import type { AlertSink } from '../audit/alert/alert-sink.ts'
import { sparingStates } from '../audit/alert/sparing-states.ts'
import { pauseAfter } from '../audit/export/backoff.ts'
import { Exporter } from '../audit/export/exporter.ts'
import type { ExporterParts } from '../audit/export/exporter.ts'
import type { ExportState } from '../audit/export/state.ts'
import type { AlertPlace } from '../config/audit-exports.ts'
import { fileExportStates } from './audit-exports-states.ts'

/** Under which the state of a webhook names its kind. */
export const alertKind = 'alert'

export interface AlertExporterParts extends Pick<ExporterParts, 'clock' | 'onChange'> {
  readonly stateDir: string
  readonly record: Pick<FileRecord, 'stats'>
  readonly recordFolder: string
  /** Says which entries must not go out any more. */
  readonly redaction: Pick<Redaction, 'isGone'>
}

/** Entries are many and findings few: large batches, which wait a moment. */
const batch = { entries: 2048, characters: 256 * 1024, lingerMilliseconds: 200 }
const monotonic = () => performance.now()

/** One that has never run begins at the end of the log as it is now. */
export function alertExporterOf(place: AlertPlace, parts: AlertExporterParts): Exporter {
  const { stateDir, record, recordFolder, redaction, clock, onChange } = parts
  const { origin, size } = record.stats()
  const { name, spoolBytes } = place
  const sink = alertSink({ ...place, clock })
  const fresh = { state: 'delivering', since: clock(), lagging: false, rejected: 0, error: null } as const
  const beginning: ExportState = { name, kind: alertKind, origin, next: size, ...fresh, pid: process.pid }
  const states = fileExportStates(stateDir, name, 'alerts')
  return new Exporter({
    name,
    kind: alertKind,
    log: { folder: recordFolder, origin },
    sink,
    states: sparingStates(states, { beginning, delivered: () => sink.delivered(), monotonic }),
    eventOf: (entry) => alertEvent(entry, place),
    isGone: (index) => redaction.isGone(index),
    // That more waits than may be kept is told as a finding of its own.
    absentOf: ({ index, time }) => ({ origin, index, kind: 'absent', time, severity: 1, json: '' }),
    gapOf: alertGap,
    batch,
    spoolBytes,
    clock,
    chance: systemRuntime.chance,
    sleep: timerSleep,
    pid: process.pid,
    onChange,
  })
}

export interface UrgentAlertsParts {
  readonly places: readonly AlertPlace[]
  readonly origin: string
  /** Findings that the record has not taken for some seconds. */
  readonly unrecorded: () => readonly StandingFinding[]
  readonly clock: Clock
}

const LOOK_MILLISECONDS = 500

/**
 * Findings that the record does not take reach receivers all the same, without the name of an entry, until they are on record
 * and come again, under the same id. Never rejects.
 */
export async function runUrgentAlerts(parts: UrgentAlertsParts, signal: AbortSignal): Promise<void> {
  await Promise.all(parts.places.map((place) => runUrgent(place, parts, signal)))
}

async function runUrgent(place: AlertPlace, parts: UrgentAlertsParts, signal: AbortSignal): Promise<void> {
  const sink = alertSink({ ...place, clock: parts.clock })
  let sent: ReadonlySet<string> = new Set()
  for (let failures = 0; !signal.aborted;) {
    const waiting = parts.unrecorded().map((one) => urgentAlert(one, parts.origin))
    const told = await sendNew(
      waiting.filter((one) => isWanted(one, place)),
      { sink, sent, signal },
    )
    sent = new Set(waiting.map(({ id }) => id).filter((id) => told.sent.has(id)))
    failures = told.failed ? failures + 1 : 0
    const pause = failures === 0 ? LOOK_MILLISECONDS : pauseAfter(failures, systemRuntime.chance(), null)
    await timerSleep(pause, signal)
  }
  await sink.close()
}

interface Sending {
  readonly sink: AlertSink
  readonly sent: ReadonlySet<string>
  readonly signal: AbortSignal
}

/** In order; the first that is not taken ends it for now. What fails shows in the state of the webhook, whose cursor tries too. */
async function sendNew(waiting: readonly Alert[], { sink, sent, signal }: Sending) {
  const done = new Set(sent)
  for (const alert of waiting.filter(({ id }) => !sent.has(id))) {
    try {
      await sink.send(alertJson(alert), signal)
      done.add(alert.id)
    } catch {
      return { sent: done, failed: true }
    }
  }
  return { sent: done, failed: false }
}

function urgentAlert({ detector, subject, severity, detail, since }: StandingFinding, origin: string): Alert {
  const id = alertId({ origin, detector, subject, started: since })
  const what = { id, detector, subject, severity, text: detail, started: since, ended: null }
  return { v: 1, phase: 'begun', ...what, origin, entry: null, source: null, docs: docsOf(detector) }
}

export interface AlertTestAnswer {
  readonly status: number
  readonly body: string
  readonly milliseconds: number
}

const MAX_SHOWN = 400

/** Sends a finding that is marked as none. Rejects with what the receiver, or the way to it, had against it. */
export async function testAlert(
  place: AlertPlace,
  { origin, clock, signal }: { readonly origin: string; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<AlertTestAnswer> {
  const sink = alertSink({ ...place, clock })
  const now = clock()
  const [detector, subject] = ['test', place.name]
  const text = 'somebody has asked whether this receiver hears: nothing was found'
  const what = { detector, subject, severity: place.minimum, text, started: now, ended: null }
  const id = `${origin} test ${toSeconds(now)}`
  const began = monotonic()
  try {
    const json = alertJson({
      v: 1,
      phase: 'test',
      id,
      ...what,
      origin,
      entry: null,
      source: null,
      docs: docsOf('test'),
    })
    const { status, body } = await sink.send(json, signal)
    return { status, body: body.slice(0, MAX_SHOWN), milliseconds: Math.round(monotonic() - began) }
  } finally {
    await sink.close()
  }
}
