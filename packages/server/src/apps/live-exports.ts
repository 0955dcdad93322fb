/** The exports of a part that runs, and their change: cursors are in files, so one set ends before the next begins. */

import type { ExportNeeds } from '../audit/export/backlog.ts'
import type { ExportState } from '../audit/export/state.ts'
import { RunningExports } from './audit-exports.ts'
import type { ExportsParts } from './audit-exports.ts'

export type ExportPlaces = Pick<ExportsParts, 'exports' | 'alerts'>

export class LiveExports implements ExportNeeds {
  readonly #parts: Omit<ExportsParts, keyof ExportPlaces>
  #current: RunningExports
  #stopped = false

  constructor(places: ExportPlaces, parts: Omit<ExportsParts, keyof ExportPlaces>) {
    this.#parts = parts
    this.#current = new RunningExports({ ...parts, ...places })
  }

  states(): readonly ExportState[] {
    return this.#current.states()
  }

  oldestNeeded(): Promise<number> {
    return this.#current.oldestNeeded()
  }

  /** Ends the exports before, with what receivers still take, and begins these. Never rejects. */
  async replace(places: ExportPlaces): Promise<void> {
    await this.#current.stop()
    if (!this.#stopped) this.#current = new RunningExports({ ...this.#parts, ...places })
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#current.stop()
  }
}
