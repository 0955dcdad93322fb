/** One export of one log: reads on from where it stopped, hands over, and remembers what was acknowledged. */

import { DoorwardError, epochMillis } from '@doorward/core'
import type { Clock } from '@doorward/core'
import { claimedCheckpointOf, identityOf, segmentsOf } from '../log-folder.ts'
import { followAll, isAbsent } from '../read.ts'
import type { AbsentEntry, LoggedEntry } from '../read.ts'
import { pauseAfter } from './backoff.ts'
import { backlogOf, oldestKept } from './backlog.ts'
import type { ExportNeeds } from './backlog.ts'
import { inBatches } from './batches.ts'
import type { BatchLimits } from './batches.ts'
import { DeliveryError } from './sink.ts'
import type { ExportEvent, ExportSink } from './sink.ts'
import type { ExportState, ExportStates } from './state.ts'

export interface ExporterParts {
  readonly name: string
  readonly kind: string
  readonly log: { readonly folder: string; readonly origin: string }
  readonly sink: ExportSink
  readonly states: ExportStates
  readonly eventOf: (entry: LoggedEntry) => ExportEvent
  /** Whether what an entry says was taken away after it was read. */
  readonly isGone: (index: number) => boolean
  /** Stands for an entry whose payload is gone. */
  readonly absentOf: (entry: AbsentEntry) => ExportEvent
  /** Stands for the entries from `from` up to `to`, exclusive, which are not there any more. */
  readonly gapOf: (gap: {
    readonly origin: string
    readonly from: number
    readonly to: number
    readonly time: number
  }) => ExportEvent
  readonly batch: BatchLimits
  /** Of the journal; beyond it the export lags. */
  readonly spoolBytes: number
  readonly clock: Clock
  /** In [0, 1). */
  readonly chance: () => number
  /** Resolves after so many milliseconds, or at once when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>
  readonly pid: number
  /** Called when `state`, `lagging` or `rejected` has changed. */
  readonly onChange: (state: ExportState, before: ExportState) => void
}

/** How often it is looked how much waits, while all goes well. */
const LOOK_MILLISECONDS = 10_000
const MAX_MESSAGE = 400

/** Runs once. */
export class Exporter implements ExportNeeds {
  readonly #parts: ExporterParts
  #state: ExportState
  #loaded = false
  #looked = Number.NEGATIVE_INFINITY
  /** Halved when the receiver finds a batch too large, and doubled again. */
  #most: number
  /** In a row. */
  #failures = 0

  constructor(parts: ExporterParts) {
    this.#parts = parts
    this.#most = parts.batch.entries
    const { name, kind, log, pid, clock } = parts
    const beginning = { state: 'delivering', since: clock(), lagging: false, rejected: 0, error: null } as const
    this.#state = { name, kind, origin: log.origin, next: 0, ...beginning, pid }
  }

  state(): ExportState {
    return this.#state
  }

  async oldestNeeded(): Promise<number> {
    // Before the first look at what was delivered, everything may be needed.
    return this.#loaded ? oldestKept(this.#parts.log.folder, this.#state.next, this.#parts.spoolBytes) : 0
  }

  /** Delivers until the signal aborts, and tries again whatever fails. Never rejects; closes the sink. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#follow(signal)
      } catch (error) {
        await this.#pause(error, signal)
      }
    }
    await this.#parts.sink.close()
    if (this.#loaded) await this.#become({ state: 'stopped' }).catch(() => undefined)
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { log, eventOf, absentOf, batch } = this.#parts
    const convert = (found: LoggedEntry | AbsentEntry) =>
      isAbsent(found) ? absentOf(stillThere(found)) : eventOf(found)
    if (!this.#loaded) await this.#load()
    await this.#checkLog(signal)
    await this.#look()
    const ending = new AbortController()
    const reading = AbortSignal.any([signal, ending.signal])
    const entries = followAll(log.folder, { from: this.#state.next, signal: reading })
    try {
      for await (const events of inBatches(entries, convert, batch)) {
        await this.#handOver(events, signal)
        if (signal.aborted) return
      }
    } finally {
      ending.abort()
    }
  }

  /** Until all of it is acknowledged: the reader waits meanwhile, for finding its place again costs more. */
  async #handOver(events: readonly ExportEvent[], signal: AbortSignal): Promise<void> {
    for (let rest = events; rest.length > 0 && !signal.aborted;) {
      const piece = rest.slice(0, this.#most).map((event) => this.#withoutRedacted(event))
      try {
        const { rejected } = await this.#parts.sink.deliver(piece, signal)
        await this.#delivered((piece.at(-1)?.index ?? 0) + 1, rejected)
        rest = rest.slice(piece.length)
      } catch (error) {
        await this.#pause(error, signal)
      }
    }
  }

  /** Between two attempts an entry may be redacted. */
  #withoutRedacted(event: ExportEvent): ExportEvent {
    const { isGone, absentOf } = this.#parts
    const { origin, index, time, kind } = event
    if (kind === 'absent' || !isGone(index)) return event
    return absentOf({ origin, index, time: epochMillis(time), why: 'redacted' })
  }

  async #pause(reason: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { sleep, chance } = this.#parts
    this.#failures++
    await this.#failed(reason)
    const asked = reason instanceof DeliveryError ? reason.retryAfterMilliseconds : null
    await sleep(pauseAfter(this.#failures, chance(), asked), signal)
  }

  /** Where the last run stopped. Throws `export_other_log`. */
  async #load(): Promise<void> {
    const { states, log, name } = this.#parts
    const kept = await states.read()
    if (kept !== null && kept.origin !== log.origin) {
      throw new DoorwardError('export_other_log', 'this export has delivered another log', {
        where: name,
        expected: log.origin,
        got: kept.origin,
        next: 'give the export another name',
      })
    }
    const { next, lagging, rejected, error } = kept ?? this.#state
    this.#state = { ...this.#state, next, lagging, rejected, error }
    this.#loaded = true
  }

  /** Throws `export_other_log`, and `export_ahead` for a log that is shorter than what was delivered. Tells of what is gone. */
  async #checkLog(signal: AbortSignal): Promise<void> {
    const { log, name, sink, gapOf, clock } = this.#parts
    const [oldest] = await segmentsOf(log.folder)
    if (oldest === undefined) return
    const { origin } = await identityOf(log.folder)
    if (origin !== log.origin)
      throw new DoorwardError('export_other_log', 'another log lies here', { expected: log.origin, got: origin })
    const size = (await claimedCheckpointOf(log.folder))?.size ?? 0
    const { next } = this.#state
    if (next > size) {
      throw new DoorwardError('export_ahead', 'more was delivered than the log has', {
        where: name,
        expected: `at least ${next} entries under the checkpoint`,
        got: `${size}`,
        next: 'if an older log was put back on purpose, give the export another name',
      })
    }
    if (oldest.first <= next) return
    const gap = gapOf({ origin, from: next, to: oldest.first, time: clock() })
    await sink.deliver([gap], signal)
    const error = {
      code: 'export_gap',
      message: `entries ${next} to ${oldest.first - 1} were deleted before they were delivered`,
      at: clock(),
    }
    await this.#become({ next: oldest.first, error, rejected: this.#state.rejected })
  }

  async #delivered(next: number, rejected: number): Promise<void> {
    const { batch } = this.#parts
    this.#most = Math.min(batch.entries, this.#most * 2)
    await this.#become({ next, state: 'delivering', rejected: this.#state.rejected + rejected })
    this.#failures = 0
    if (this.#parts.clock() - this.#looked >= LOOK_MILLISECONDS) await this.#look()
  }

  async #failed(reason: unknown): Promise<void> {
    const { code, message } = told(reason)
    if (code === 'export_too_large') this.#most = Math.max(1, Math.floor(this.#most / 2))
    const at = this.#parts.clock()
    // Where even this cannot be kept, the next success will.
    await this.#become({ state: 'failing', error: { code, message, at } }).catch(() => undefined)
    await this.#look().catch(() => undefined)
  }

  /** Whether more waits than the spool may hold. */
  async #look(): Promise<void> {
    const { log, spoolBytes, clock } = this.#parts
    this.#looked = clock()
    const lagging = (await backlogOf(log.folder, this.#state.next)).bytes > spoolBytes
    if (lagging !== this.#state.lagging) await this.#become({ lagging })
  }

  /** Durable first, so that nothing counts as delivered that a crash forgets; what is told may come twice, not too early. */
  async #become(change: Partial<ExportState>): Promise<void> {
    const before = this.#state
    const since = change.state === undefined || change.state === before.state ? before.since : this.#parts.clock()
    const state = { ...before, ...change, since }
    this.#state = { ...state, next: before.next }
    const differs = before.state !== state.state || before.lagging !== state.lagging
    if (differs || before.rejected !== state.rejected) this.#parts.onChange(state, before)
    // Before the first look nothing is known that may replace what is kept.
    if (this.#loaded) await this.#parts.states.write(state)
    this.#state = state
  }
}

/** What has expired while it was read is a gap, which is told as such in the next round. */
function stillThere(found: AbsentEntry): AbsentEntry {
  if (found.why !== 'expired') return found
  throw new DoorwardError('export_gap', `entry ${found.index} was deleted before it was delivered`)
}

function told(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof DoorwardError))
    return {
      code: 'export_failed',
      message: (error instanceof Error ? error.message : String(error)).slice(0, MAX_MESSAGE),
    }
  const { code, message, where, expected, got } = error
  const rest = [where && `at ${where}`, expected && `expected ${expected}`, got && `got ${got}`].filter(Boolean)
  return { code, message: [message, ...rest].join(', ').slice(0, MAX_MESSAGE) }
}
