/** When the stages of one call ended: for whoever measures. Nothing is decided by it. */

export type TimedStage =
  | 'identified'
  | 'read'
  | 'classified'
  | 'authorized'
  | 'admitted'
  | 'decided'
  | 'answered'
  | 'closed'

/**
 * Milliseconds of a clock that never goes back; 0 for a stage that the call did not reach. `decided` is the permit, or the
 * refusal on record; `answered` the beginning of the answer, and `closed` its end.
 */
export class StageTimes implements Readonly<Record<TimedStage, number>> {
  readonly started: number
  identified = 0
  read = 0
  classified = 0
  authorized = 0
  admitted = 0
  decided = 0
  answered = 0
  closed = 0
  readonly #now: () => number
  readonly #closely: boolean

  /** A clock costs something to read: stages that only a trace shows are timed where `closely` is true. */
  constructor(now: () => number, closely = false) {
    this.#now = now
    this.#closely = closely
    this.started = now()
  }

  /** The stage ends now, for who looks closely. */
  look(stage: TimedStage): void {
    if (this.#closely) this[stage] = this.#now()
  }

  /** The stage ends now. */
  mark(stage: TimedStage): void {
    this[stage] = this.#now()
  }
}
