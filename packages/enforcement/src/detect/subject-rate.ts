/** Subjects that something happens to too often within a window: named up to a bound, the rest told of together. */

import { otherSubjects } from './finding.ts'
import { WindowedSketch } from './windowed-sketch.ts'

export interface RateThreshold {
  /** So many within the window. */
  readonly count: number
  readonly seconds: number
}

export interface SubjectRateOptions extends RateThreshold {
  /** Of the sketch. */
  readonly width: number
  readonly seed: number
  /** Subjects that are named at the same time; 64 by default. */
  readonly most?: number
}

export interface OftenSeen {
  /** `others` stands for all that are not named. */
  readonly subject: string
  /** Within the window; of others since there have been too many. Never too little. */
  readonly seen: number
}

const MOST_NAMED = 64

/** A subject stays until it is seen less than half as often as it takes to be named. */
export class SubjectRate {
  readonly #count: number
  readonly #windowMilliseconds: number
  readonly #most: number
  readonly #sketch: WindowedSketch
  readonly #named = new Set<string>()
  #others = 0
  #othersAt = Number.NEGATIVE_INFINITY

  constructor({ count, seconds, width, seed, most = MOST_NAMED }: SubjectRateOptions) {
    this.#count = count
    this.#windowMilliseconds = seconds * 1000
    this.#most = most
    this.#sketch = new WindowedSketch({ windowMilliseconds: this.#windowMilliseconds, width, seed })
  }

  get bytes(): number {
    return this.#sketch.bytes
  }

  /** `now`: milliseconds that never go back. */
  add(subject: string, now: number): void {
    if (this.#sketch.add(subject, now) < this.#count || this.#named.has(subject)) return
    if (this.#named.size < this.#most) {
      this.#named.add(subject)
      return
    }
    this.#others++
    this.#othersAt = now
  }

  /** Who stands out now. */
  look(now: number): readonly OftenSeen[] {
    const found: OftenSeen[] = []
    for (const subject of this.#named) {
      const seen = this.#sketch.estimate(subject, now)
      if (seen < Math.max(1, this.#count / 2)) this.#named.delete(subject)
      else found.push({ subject, seen })
    }
    if (now - this.#othersAt > this.#windowMilliseconds) this.#others = 0
    else found.push({ subject: otherSubjects, seen: this.#others })
    return found
  }
}
