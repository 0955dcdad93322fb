/**
 * Whether a server is asked at all: after too many failures it is given a pause, and then one call at a time shows
 * whether it is back. Pure; times are milliseconds that never go back.
 */

export interface CircuitThreshold {
  /** Failures one after the other, whoever called; 5 by default. */
  readonly inARow: number
  /** Or so large a share of the calls of the last `windowMilliseconds`, of which there have to be `least`. */
  readonly percent: number
  readonly least: number
  readonly windowMilliseconds: number
  /** The first pause; it doubles with every failure after it. */
  readonly pauseMilliseconds: number
  readonly longestPauseMilliseconds: number
}

export const defaultCircuitThreshold: CircuitThreshold = {
  inARow: 5,
  percent: 50,
  least: 10,
  windowMilliseconds: 10_000,
  pauseMilliseconds: 5000,
  longestPauseMilliseconds: 60_000,
}

/** `half-open`: the pause is over, and nobody knows yet. */
export type CircuitState = 'closed' | 'open' | 'half-open'

/** How a call ended. `nothing`: in a way that says nothing about the server. */
export type CallResult = 'good' | 'failed' | 'nothing'

/** Which period of the circuit a call belongs to: what it says about an earlier one says nothing any more. */
export type Ticket = number

const SLOTS = 10

export class Circuit {
  readonly #threshold: CircuitThreshold
  /** Uniform in [0, 1). */
  readonly #chance: () => number
  readonly #calls = new Float64Array(SLOTS)
  readonly #failed = new Float64Array(SLOTS)
  #slot = 0
  #inARow = 0
  #period: Ticket = 0
  /** When the pause ends; null while calls pass. */
  #until: number | null = null
  #pauses = 0
  /** A call that has to show whether the server is back is taken for lost after this. */
  #trialUntil: number | null = null

  constructor(threshold: CircuitThreshold, chance: () => number) {
    this.#threshold = threshold
    this.#chance = chance
  }

  state(now: number): CircuitState {
    if (this.#until === null) return 'closed'
    return now < this.#until ? 'open' : 'half-open'
  }

  /** Failures since the last good answer. */
  get inARow(): number {
    return this.#inARow
  }

  /** A call wants to go; null when it must not. A call that goes says how it ended, exactly once. */
  enter(now: number): Ticket | null {
    if (this.#until === null) return this.#period
    if (now < this.#until || (this.#trialUntil !== null && now < this.#trialUntil)) return null
    this.#trialUntil = now + this.#threshold.pauseMilliseconds
    return this.#period
  }

  /** Whole seconds, at least one, until asking again makes sense. */
  retryAfterSeconds(now: number): number {
    const at = Math.max(this.#until ?? now, this.#trialUntil ?? now)
    return Math.max(1, Math.ceil((at - now) / 1000))
  }

  /** True when the state has changed with it. */
  ended(ticket: Ticket, result: CallResult, now: number): boolean {
    if (ticket !== this.#period) return false
    if (this.#until !== null) return this.#tried(result, now)
    if (result === 'nothing') return false
    this.#count(result === 'failed', now)
    if (result === 'good' || !this.#isTooMuch()) return false
    this.#open(now)
    return true
  }

  #tried(result: CallResult, now: number): boolean {
    this.#trialUntil = null
    if (result === 'nothing') return false
    if (result === 'failed') {
      this.#inARow++
      this.#open(now)
      return true
    }
    this.#until = null
    this.#pauses = 0
    this.#inARow = 0
    this.#period++
    this.#calls.fill(0)
    this.#failed.fill(0)
    return true
  }

  /** The pause is jittered to 80–100 %, so that gateways do not come back together. */
  #open(now: number): void {
    const { pauseMilliseconds, longestPauseMilliseconds } = this.#threshold
    const pause = Math.min(longestPauseMilliseconds, pauseMilliseconds * 2 ** this.#pauses)
    this.#until = now + pause * (0.8 + 0.2 * this.#chance())
    if (pause < longestPauseMilliseconds) this.#pauses++
    this.#period++
    this.#trialUntil = null
  }

  #count(failed: boolean, now: number): void {
    this.#advance(now)
    const at = this.#slot % SLOTS
    this.#calls[at]! += 1
    this.#inARow = failed ? this.#inARow + 1 : 0
    if (failed) this.#failed[at]! += 1
  }

  #advance(now: number): void {
    const slot = Math.floor(now / (this.#threshold.windowMilliseconds / SLOTS))
    const passed = Math.min(slot - this.#slot, SLOTS)
    if (passed <= 0) return
    for (let step = 0; step < passed; step++) {
      this.#calls[(slot - step) % SLOTS] = 0
      this.#failed[(slot - step) % SLOTS] = 0
    }
    this.#slot = slot
  }

  #isTooMuch(): boolean {
    const { inARow, percent, least } = this.#threshold
    if (this.#inARow >= inARow) return true
    const calls = this.#calls.reduce((sum, count) => sum + count, 0)
    const failed = this.#failed.reduce((sum, count) => sum + count, 0)
    return calls >= least && failed * 100 >= calls * percent
  }
}
