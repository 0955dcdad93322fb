/** How far a clock was set since the start, beside a clock that cannot be. Slow drift is none. */

/** Less between two looks is drift, or a look that came late. */
const STEP_MILLISECONDS = 1000
/** A clock that stays where it was set is taken as right after an hour. */
const ACCEPTED = 3_600_000

export class ClockSteps {
  readonly #thresholdMilliseconds: number
  #last: { readonly wall: number; readonly elapsed: number } | null = null
  #offset = 0
  #setAt = 0

  constructor(seconds: number) {
    this.#thresholdMilliseconds = seconds * 1000
  }

  /** Milliseconds by which it was set, forward where positive; null while that is less than the threshold. `elapsed` never goes back. */
  look(wall: number, elapsed: number): number | null {
    const step = this.#last === null ? 0 : wall - this.#last.wall - (elapsed - this.#last.elapsed)
    this.#last = { wall, elapsed }
    if (Math.abs(step) >= STEP_MILLISECONDS) {
      this.#offset += step
      this.#setAt = elapsed
    }
    if (elapsed - this.#setAt >= ACCEPTED) this.#offset = 0
    return Math.abs(this.#offset) >= this.#thresholdMilliseconds ? this.#offset : null
  }
}
