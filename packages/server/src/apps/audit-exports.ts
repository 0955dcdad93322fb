/** The exports of one log, and the webhooks that hear of its findings, while its writer runs: each a loop of its own, so that no receiver delays another. */

import { hostname } from 'node:os'
import type { Clock } from '@doorward/core'
import type { FileRecord, Redaction } from '@doorward/enforcement'
import { systemRuntime, timerSleep } from '@doorward/sdk'
import type { ExportNeeds } from '../audit/export/backlog.ts'
import { Exporter } from '../audit/export/exporter.ts'
import { absentEvent, exportEvent, gapEvent } from '../audit/export/ocsf.ts'
import type { ExportState } from '../audit/export/state.ts'
import type { AlertPlace, ExportPlace } from '../config/audit-exports.ts'
import { version } from '../config/version.ts'
import { alertExporterOf, alertKind } from './alert-webhooks.ts'
import { batchLimitsOf, sinkOf } from './audit-exports-sinks.ts'
import { fileExportStates } from './audit-exports-states.ts'

export interface ExportsParts {
  readonly exports: readonly ExportPlace[]
  /** Nobody by default. */
  readonly alerts?: readonly AlertPlace[]
  /** State folder of the part whose log it is. */
  readonly stateDir: string
  readonly record: Pick<FileRecord, 'stats' | 'checkpoint'>
  readonly recordFolder: string
  /** Says which entries must not go out any more. */
  readonly redaction: Pick<Redaction, 'isGone'>
  readonly clock: Clock
  /** For the process log, and loudly for the operator. */
  readonly warn: (code: string, text: string) => void
}

/** How long stopping waits for receivers to take the last entries; the next start delivers the rest. */
const DRAIN_MILLISECONDS = 1500
const DRAIN_LOOK_MILLISECONDS = 20

/** Starts with its construction and never fails: what cannot be delivered waits. */
export class RunningExports implements ExportNeeds {
  readonly #parts: ExportsParts
  readonly #exporters: readonly Exporter[]
  readonly #ending = new AbortController()
  readonly #running: readonly Promise<void>[]

  constructor(parts: ExportsParts) {
    this.#parts = parts
    const tellChange = (now: ExportState, before: ExportState) => tell(now, before, parts.warn)
    this.#exporters = [
      ...parts.exports.map((place) => exporterOf(place, parts)),
      ...(parts.alerts ?? []).map((place) => alertExporterOf(place, { ...parts, onChange: tellChange })),
    ]
    this.#running = this.#exporters.map((one) => one.run(this.#ending.signal))
  }

  states(): readonly ExportState[] {
    return this.#exporters.map((one) => one.state())
  }

  /** Whether more waits for some export than its spool may hold. */
  isLagging(): boolean {
    return this.states().some(({ lagging }) => lagging)
  }

  async oldestNeeded(): Promise<number> {
    return Math.min(Number.MAX_SAFE_INTEGER, ...(await Promise.all(this.#exporters.map((one) => one.oldestNeeded()))))
  }

  /** Before the record closes. Lets receivers that answer have the last entries, and ends. Never rejects. */
  async stop(): Promise<void> {
    if (this.#exporters.length > 0) await this.#drain().catch(() => undefined)
    this.#ending.abort()
    await Promise.all(this.#running)
  }

  async #drain(): Promise<void> {
    const { record } = this.#parts
    const until = performance.now() + DRAIN_MILLISECONDS
    await Promise.race([record.checkpoint(), timerSleep(DRAIN_MILLISECONDS)])
    const { size } = record.stats()
    const waits = () => this.states().some(({ next, state }) => state !== 'failing' && next < size)
    while (waits() && performance.now() < until) await timerSleep(DRAIN_LOOK_MILLISECONDS)
  }
}

function exporterOf(place: ExportPlace, parts: ExportsParts): Exporter {
  const { stateDir, record, recordFolder, redaction, clock, warn } = parts
  const { origin } = record.stats()
  return new Exporter({
    name: place.name,
    kind: place.kind,
    log: { folder: recordFolder, origin },
    sink: sinkOf(place, { origin, clock, version, machine: hostname() }),
    states: fileExportStates(stateDir, place.name),
    eventOf: exportEvent,
    isGone: (index) => redaction.isGone(index),
    absentOf: absentEvent,
    gapOf: gapEvent,
    batch: batchLimitsOf(place),
    spoolBytes: place.spoolBytes,
    clock,
    chance: systemRuntime.chance,
    sleep: timerSleep,
    pid: process.pid,
    onChange: (state, before) => tell(state, before, warn),
  })
}

function tell(now: ExportState, before: ExportState, warn: ExportsParts['warn']): void {
  const { name, kind, origin, error, next } = now
  const what = kind === alertKind ? `webhook ${name} of ${origin}` : `export ${name} (${kind}) of ${origin}`
  const why = error === null ? '' : `: ${error.code}: ${error.message}`
  if (now.state === 'failing' && before.state !== 'failing')
    warn('export_failing', `${what} fails at entry ${next}${why}; it is tried again, and nothing is skipped`)
  if (now.state === 'delivering' && before.state === 'failing') warn('export_delivering', `${what} delivers again`)
  if (now.lagging && !before.lagging)
    warn('export_lagging', `${what} lags: more waits than spool_bytes, and retention may delete it`)
  if (!now.lagging && before.lagging) warn('export_caught_up', `${what} lags no more`)
  if (now.rejected > before.rejected)
    warn(
      'export_rejected',
      `the receiver of ${what} has said not to keep ${now.rejected - before.rejected} events before entry ${next}`,
    )
}
