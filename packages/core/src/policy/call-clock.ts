/** The time of a call as policies see it: the moment, and the day and hour of a time zone. */

import { Datetime } from './cedar/datetime.ts'
import type { CedarRecord, Value } from './cedar/value.ts'

const weekdays: readonly string[] = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

/** Keeps the answer of the last second, for a time zone costs some microseconds. */
export class CallClock {
  readonly #format: Intl.DateTimeFormat
  #seconds = Number.NaN
  #record: CedarRecord = new Map()

  /** An IANA time zone such as `Europe/Berlin`. Throws `RangeError` for one that is not known. */
  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      weekday: 'short',
      hour: 'numeric',
      minute: 'numeric',
    })
  }

  /** `now` (datetime), `weekday` (Long, Monday 1 to Sunday 7), `hour` (Long, 0 to 23), `minute` (Long, 0 to 59). */
  record(seconds: number): CedarRecord {
    if (seconds === this.#seconds) return this.#record
    const parts = new Map(this.#format.formatToParts(seconds * 1000).map(({ type, value }) => [type, value]))
    this.#record = new Map<string, Value>([
      ['now', Datetime.at(seconds * 1000)],
      ['weekday', weekdays.indexOf(parts.get('weekday') ?? '') + 1],
      ['hour', Number(parts.get('hour'))],
      ['minute', Number(parts.get('minute'))],
    ])
    this.#seconds = seconds
    return this.#record
  }
}
