/** The authority's time, as every answer of it tells, beside our own clock. Decides nothing: what is wrong is only told. */

import { DoorwardError } from '@doorward/core'
import type { Clock } from '@doorward/core'

/** Milliseconds since the epoch. */
export const timeHeader = 'doorward-time'

/** More than this is worth a word (reference identity §2, skew). */
const mostApartMilliseconds = 10_000
const tellEveryMilliseconds = 60_000

export interface SkewWatchParts {
  readonly wall: Clock
  readonly monotonic: () => number
  /** Told `clock_skewed`, at most once a minute. */
  readonly onProblem: (error: unknown) => void
}

export class SkewWatch {
  readonly #parts: SkewWatchParts
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(parts: SkewWatchParts) {
    this.#parts = parts
  }

  /** Compares the time in an answer with ours; the answer was asked for at `asked`, on the monotonic clock. */
  heard(header: string | readonly string[] | undefined, asked: number): void {
    if (typeof header !== 'string' || !/^[0-9]{1,15}$/.test(header)) return
    const { wall, monotonic, onProblem } = this.#parts
    const now = monotonic()
    const ours = wall()
    // The authority looked at its clock at some time in between.
    const taken = now - asked
    const ahead = Number(header) - (ours - taken / 2)
    if (Math.abs(ahead) <= mostApartMilliseconds + taken / 2 || now - this.#toldAt < tellEveryMilliseconds) return
    this.#toldAt = now
    onProblem(skewed(ahead))
  }
}

function skewed(ahead: number): DoorwardError {
  const seconds = Math.round(Math.abs(ahead) / 1000)
  return new DoorwardError('clock_skewed', "this machine's clock and the authority's differ", {
    expected: `at most ${mostApartMilliseconds / 1000} s`,
    got: `${seconds} s ${ahead > 0 ? 'behind' : 'ahead of'} the authority`,
    next: 'set the wrong clock right: nothing that the authority signs is accepted more than 60 s apart',
  })
}
