/** Whether a record keeps up: checkpoints follow entries, and entries that wait are written. */

export interface ProgressFacts {
  readonly state: string
  readonly failure: string | null
  readonly size: number
  readonly checkpointSize: number
  readonly queued: number
}

export type ProgressProblem =
  /** Nothing is recorded, so nothing is permitted. */
  | { readonly kind: 'refuses'; readonly state: string; readonly failure: string | null }
  /** Entries that were there so long ago are not covered yet. */
  | { readonly kind: 'checkpoint_behind'; readonly entries: number }
  /** Entries wait, and none was written for so long. */
  | { readonly kind: 'queue_behind'; readonly entries: number }

interface Look {
  readonly at: number
  readonly size: number
  readonly moves: boolean
}

const MAX_LOOKS = 4096

/** To be asked about once a second. */
export class RecordProgress {
  readonly #milliseconds: number
  #looks: readonly Look[] = []

  constructor(seconds: number) {
    this.#milliseconds = seconds * 1000
  }

  /** `now`: milliseconds that never go back. */
  look({ state, failure, size, checkpointSize, queued }: ProgressFacts, now: number): readonly ProgressProblem[] {
    const last = this.#looks.at(-1)
    const moves = queued === 0 || last === undefined || size > last.size
    const looks = [...this.#looks, { at: now, size, moves }]
    const old = looks.findLastIndex(({ at }) => now - at >= this.#milliseconds)
    this.#looks = looks.slice(Math.max(0, old)).slice(-MAX_LOOKS)
    if (state !== 'open' || failure !== null) return [{ kind: 'refuses', state, failure }]
    const then = old < 0 ? undefined : looks[old]
    if (then === undefined) return []
    const problems: ProgressProblem[] = []
    if (then.size > checkpointSize) problems.push({ kind: 'checkpoint_behind', entries: then.size - checkpointSize })
    if (!this.#looks.slice(1).some((one) => one.moves)) problems.push({ kind: 'queue_behind', entries: queued })
    return problems
  }
}
