/** Subjects of whom much more is refused than in the hour before, or more than anybody should be. */

import { WindowedSketch } from './windowed-sketch.ts'
import { otherSubjects } from './finding.ts'

export interface JumpThreshold {
  readonly seconds: number
  /** Below this nothing is a jump. */
  readonly least: number
  /** So many times the subject's own rate of the last hour is a jump. */
  readonly times: number
  /** So many are too many, however slowly they have become as many. */
  readonly most: number
}

export interface RateJumpOptions extends JumpThreshold {
  readonly width: number
  readonly seed: number
  /** Subjects that are looked at closely at the same time; 64 by default. */
  readonly mostNamed?: number
}

export interface Jumped {
  readonly subject: string
  /** Within the window. */
  readonly seen: number
  /** Of a window in the hour before; null where less than five minutes are known. */
  readonly usual: number | null
  /** More than anybody should have. */
  readonly tooMany: boolean
}

const HOUR = 3_600_000
/** Before that nobody knows what is usual. */
const LEARNING = 300_000
const MOST_NAMED = 64

/** What has stood out stays until it is seen half as often as made it stand out. */
export class RateJump {
  readonly #options: RateJumpOptions
  readonly #windowMilliseconds: number
  readonly #now: WindowedSketch
  readonly #hour: WindowedSketch
  readonly #startedAt: number
  /** At which count each began to stand out; null where it does not. */
  readonly #near = new Map<string, number | null>()
  #others = 0
  #othersAt = Number.NEGATIVE_INFINITY

  /** `now`: milliseconds that never go back, as ever after. */
  constructor(options: RateJumpOptions, now: number) {
    const { width, seed } = options
    this.#options = options
    this.#windowMilliseconds = options.seconds * 1000
    this.#now = new WindowedSketch({ windowMilliseconds: this.#windowMilliseconds, width, seed })
    this.#hour = new WindowedSketch({ windowMilliseconds: HOUR, width, seed })
    this.#startedAt = now
  }

  get bytes(): number {
    return this.#now.bytes + this.#hour.bytes
  }

  add(subject: string, now: number): void {
    this.#hour.add(subject, now)
    const { least, most, mostNamed = MOST_NAMED } = this.#options
    const seen = this.#now.add(subject, now)
    if (seen < Math.min(least, most) || this.#near.has(subject)) return
    if (this.#near.size < mostNamed) {
      this.#near.set(subject, null)
      return
    }
    this.#others++
    this.#othersAt = now
  }

  look(now: number): readonly Jumped[] {
    const found: Jumped[] = []
    for (const [subject, began] of this.#near) {
      const seen = this.#now.estimate(subject, now)
      const { least, times, most } = this.#options
      const usual = this.#usual(subject, seen, now)
      const tooMuch = usual === null ? most : Math.min(most, Math.max(least, times * usual))
      const from = began ?? (seen >= tooMuch ? tooMuch : null)
      if (seen < Math.min(least, most) / 2 || (from !== null && seen < from / 2)) {
        this.#near.delete(subject)
        continue
      }
      this.#near.set(subject, from)
      if (from !== null) found.push({ subject, seen, usual, tooMany: seen >= most })
    }
    if (now - this.#othersAt > this.#windowMilliseconds) this.#others = 0
    else found.push({ subject: otherSubjects, seen: this.#others, usual: null, tooMany: false })
    return found
  }

  #usual(subject: string, seen: number, now: number): number | null {
    const known = Math.min(HOUR, now - this.#startedAt)
    if (known < LEARNING + this.#windowMilliseconds) return null
    const before = Math.max(0, this.#hour.estimate(subject, now) - seen)
    return (before * this.#windowMilliseconds) / (known - this.#windowMilliseconds)
  }
}
