/** Cedar's `datetime` and `duration`: milliseconds in 64 bits (Cedar RFC 80). */

import { EvaluationError } from './evaluation-error.ts'
import { int64 } from './int64.ts'

const DAY = 86_400_000n

const MOMENT = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{3}))?(?:Z|([+-])(\d{2})(\d{2})))?$/

export class Datetime {
  readonly typeName = 'datetime'
  /** Since 1970-01-01T00:00:00Z. */
  readonly milliseconds: bigint

  private constructor(milliseconds: bigint) {
    this.milliseconds = milliseconds
  }

  /** Of the clock. */
  static at(milliseconds: number): Datetime {
    return new Datetime(BigInt(Math.trunc(milliseconds)))
  }

  /** `YYYY-MM-DD`, or that with `Thh:mm:ss`, milliseconds if any, and `Z` or `±hhmm`. Throws `EvaluationError`. */
  static parse(text: string): Datetime {
    const parts = MOMENT.exec(text)
    if (parts === null) throw new EvaluationError('not a datetime')
    const number = (index: number) => Number(parts[index] ?? 0)
    const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    const date = new Date(0)
    date.setUTCFullYear(year, month - 1, day)
    const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
    const [aheadHours, aheadMinutes] = [number(9), number(10)]
    if (!exists || hour > 23 || minute > 59 || second > 59 || aheadHours > 23 || aheadMinutes > 59)
      throw new EvaluationError('no such date or time')
    const local = date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + number(7)
    const ahead = (aheadHours * 60 + aheadMinutes) * 60_000 * (parts[8] === '-' ? -1 : 1)
    return new Datetime(BigInt(local - ahead))
  }

  offset({ milliseconds }: Duration): Datetime {
    return new Datetime(int64(this.milliseconds + milliseconds))
  }

  durationSince({ milliseconds }: Datetime): Duration {
    return Duration.of(int64(this.milliseconds - milliseconds))
  }

  /** Midnight of its day. */
  toDate(): Datetime {
    return new Datetime(int64(this.milliseconds - this.#intoDay()))
  }

  /** Since midnight. */
  toTime(): Duration {
    return Duration.of(this.#intoDay())
  }

  equals(other: unknown): boolean {
    return other instanceof Datetime && other.milliseconds === this.milliseconds
  }

  #intoDay(): bigint {
    const rest = this.milliseconds % DAY
    return rest < 0n ? rest + DAY : rest
  }
}

const SPAN = /^(-?)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/
const units = [DAY, 3_600_000n, 60_000n, 1000n, 1n] as const

export class Duration {
  readonly typeName = 'duration'
  readonly milliseconds: bigint

  private constructor(milliseconds: bigint) {
    this.milliseconds = milliseconds
  }

  static of(milliseconds: bigint): Duration {
    return new Duration(milliseconds)
  }

  /** Days, hours, minutes, seconds and milliseconds in this order, each with its unit, one at least. Throws `EvaluationError`. */
  static parse(text: string): Duration {
    const [, sign, ...counts] = SPAN.exec(text) ?? []
    if (counts.every((count) => count === undefined)) throw new EvaluationError('not a duration')
    const size = counts.reduce((sum, count, i) => sum + BigInt(count ?? 0) * (units[i] ?? 0n), 0n)
    return new Duration(int64(sign === '-' ? -size : size))
  }

  /** Whole units, towards zero. */
  in(unit: 'milliseconds' | 'seconds' | 'minutes' | 'hours' | 'days'): bigint {
    return (
      this.milliseconds / { milliseconds: 1n, seconds: 1000n, minutes: 60_000n, hours: 3_600_000n, days: DAY }[unit]
    )
  }

  equals(other: unknown): boolean {
    return other instanceof Duration && other.milliseconds === this.milliseconds
  }
}
