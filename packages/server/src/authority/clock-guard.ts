/**
 * Whether the clock can be relied upon (threats T:clock). While it cannot, nothing is signed, so that neither direction
 * of a step brings anything back to life.
 *
 * Three witnesses: time that passed since the clock was last found right, the store's clock where that is another
 * machine's, and the newest times on record, which a clock that is set back contradicts.
 */

import type { Clock, EpochMillis } from '@doorward/core'

export interface ClockGuardParts {
  readonly clock: Clock
  /** Milliseconds that pass whatever is done to the clock, and while the machine sleeps. */
  readonly elapsed: () => number
  /** The store has a clock of its own, which may vouch for ours. */
  readonly storeVouches: boolean
}

export interface ClockProblem {
  readonly code: 'clock_behind' | 'clock_stepped' | 'clock_skewed'
  readonly text: string
  /** Nothing may be signed; otherwise somebody should look at it. */
  readonly stops: boolean
}

/** A step of more than this is one; less is what time daemons do. */
const stepMilliseconds = 5000
/** Behind what has been recorded, or apart from the store. */
const mostApartMilliseconds = 60_000
const alarmApartMilliseconds = 10_000
/** So little is taken for correct, once an hour: small corrections must not add up to a step. */
const driftMilliseconds = 1000
const driftEveryMilliseconds = 3_600_000

interface Moment {
  readonly wall: EpochMillis
  readonly elapsed: number
}

export class ClockGuard {
  readonly #parts: ClockGuardParts
  /** When the clock was last found right; null before it was. */
  #right: Moment | null = null
  /** When a step was first seen; null without one. */
  #steppedAt: number | null = null
  #reached = 0
  /** Until the clock has passed that time, not until it is nearly there. */
  #waits = false
  #store: { readonly ahead: number; readonly elapsed: number } | null = null

  constructor(parts: ClockGuardParts) {
    this.#parts = parts
  }

  /** A time that is past for certain: the newest entry, the newest trust state. */
  hasReached(time: EpochMillis): void {
    this.#reached = Math.max(this.#reached, time)
  }

  /** How far the store's clock is ahead of ours, as measured now. */
  heardStore(aheadMilliseconds: number): void {
    this.#store = { ahead: aheadMilliseconds, elapsed: this.#parts.elapsed() }
  }

  /** What is wrong with the clock now; what stops comes first. */
  problems(): readonly ClockProblem[] {
    const now: Moment = { wall: this.#parts.clock(), elapsed: this.#parts.elapsed() }
    const apart = this.#apart()
    if (apart?.stops === true) return [apart]
    const stopping = this.#behind(now) ?? this.#stepped(now)
    return [stopping, apart].filter((problem) => problem !== null)
  }

  /** Why nothing may be signed; null while the clock is right. */
  unfit(): string | null {
    const [first] = this.problems()
    return first?.stops === true ? `${first.code}: ${first.text}` : null
  }

  #behind({ wall }: Moment): ClockProblem | null {
    const behind = this.#reached - wall
    this.#waits = this.#right === null && behind > (this.#waits ? 0 : mostApartMilliseconds)
    if (!this.#waits) return null
    const text = `the clock is ${seconds(behind)} behind the newest entry on record; nothing is signed before that time is past`
    return { code: 'clock_behind', text, stops: true }
  }

  #stepped(now: Moment): ClockProblem | null {
    const off = this.#right === null ? 0 : now.wall - this.#right.wall - (now.elapsed - this.#right.elapsed)
    if (Math.abs(off) > stepMilliseconds && !this.#isVouchedFor(now)) {
      this.#steppedAt ??= now.elapsed
      const direction = off > 0 ? 'forward' : 'back'
      const text = `the clock was set ${direction} by ${seconds(Math.abs(off))}; set it right, or start the authority again when it is right now`
      return { code: 'clock_stepped', text, stops: true }
    }
    this.#steppedAt = null
    if (this.#right === null || this.#mayFollow(off, now.elapsed - this.#right.elapsed)) this.#right = now
    return null
  }

  #mayFollow(off: number, sinceRight: number): boolean {
    if (Math.abs(off) > stepMilliseconds) return true
    return sinceRight >= driftEveryMilliseconds && Math.abs(off) <= driftMilliseconds
  }

  /** The store was heard after the step, and agrees with the clock as it is now. */
  #isVouchedFor({ elapsed }: Moment): boolean {
    if (!this.#parts.storeVouches || this.#store === null) return false
    return this.#store.elapsed > (this.#steppedAt ?? elapsed) && Math.abs(this.#store.ahead) <= stepMilliseconds
  }

  #apart(): ClockProblem | null {
    const ahead = this.#store?.ahead ?? 0
    if (Math.abs(ahead) <= alarmApartMilliseconds) return null
    const text = `the clock is ${seconds(Math.abs(ahead))} ${ahead > 0 ? 'behind' : 'ahead of'} the store's: set the wrong one right`
    return { code: 'clock_skewed', text, stops: Math.abs(ahead) > mostApartMilliseconds }
  }
}

function seconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 1000)} s`
}
