/** Lets the oldest payloads of a log expire while its writer runs, as configuration says. */

import { Retention } from '@doorward/enforcement'
import type { FileRecord, RetentionRules } from '@doorward/enforcement'
import type { Clock } from '@doorward/core'
import { isDoorwardError } from '@doorward/core'
import { sha256, timerSleep } from '@doorward/sdk'
import type { ExportNeeds } from '../audit/export/backlog.ts'

/** `audit.retention` of the configuration. */
export interface RetentionSettings {
  readonly maxDays: number | null
  readonly maxBytes: number | null
  /** Between two looks; a minute by default. */
  readonly lookMilliseconds?: number
}

export const keepAll: RetentionSettings = { maxDays: null, maxBytes: null }

export interface RetentionLoopParts {
  readonly settings: RetentionSettings
  readonly record: Pick<FileRecord, 'append' | 'checkpoint' | 'stats' | 'disk'>
  readonly recordFolder: string
  readonly exports: ExportNeeds
  /** Entries that are younger are kept, whatever configuration says; none by default. */
  readonly keepMilliseconds?: number
  readonly clock: Clock
  /** For the process log, and loudly for the operator. */
  readonly warn: (code: string, text: string) => void
}

const LOOK_MILLISECONDS = 60_000
const DAY_MILLISECONDS = 86_400_000

/** Starts with its construction and never fails: what cannot be deleted stays, and is told once. */
export class RunningRetention {
  readonly #parts: RetentionLoopParts
  readonly #ending = new AbortController()
  readonly #running: Promise<void>
  #told = ''

  constructor(parts: RetentionLoopParts) {
    this.#parts = parts
    const { maxDays, maxBytes } = parts.settings
    this.#running = maxDays === null && maxBytes === null ? Promise.resolve() : this.#run()
  }

  /** Before exports and record close. Never rejects. */
  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { settings, record, recordFolder, exports, keepMilliseconds = 0, clock } = this.#parts
    const { lookMilliseconds = LOOK_MILLISECONDS } = settings
    const retention = new Retention({
      folder: recordFolder,
      origin: record.stats().origin,
      record,
      sha256,
      clock,
      rules: rulesOf(settings),
      oldestNeeded: () => exports.oldestNeeded(),
      keepMilliseconds,
    })
    while (!this.#ending.signal.aborted) {
      try {
        await retention.turn()
        this.#told = ''
      } catch (error) {
        this.#tell(error)
      }
      await timerSleep(lookMilliseconds, this.#ending.signal)
    }
  }

  #tell(error: unknown): void {
    const known = isDoorwardError(error)
    const what = known ? `${error.code}: ${error.message}` : String(error)
    const text = known && error.where !== undefined ? `${what}, at ${error.where}` : what
    if (text === this.#told) return
    this.#told = text
    this.#parts.warn('retention_failing', `nothing expires from ${this.#parts.record.stats().origin}: ${text}`)
  }
}

function rulesOf({ maxDays, maxBytes }: RetentionSettings): RetentionRules {
  return { maxMilliseconds: maxDays === null ? null : maxDays * DAY_MILLISECONDS, maxBytes }
}
