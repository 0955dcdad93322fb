/** The time of a call as policies see it: the moment, and the day and hour of a time zone. */

import { Datetime } from './cedar/datetime.ts'
import type { CedarRecord, Value } from './cedar/value.ts'

const weekdays: readonly string[] = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

interface Wall {
  /** Monday 1 to Sunday 7. */
  readonly weekday: number
  readonly hour: number
  readonly minute: number
}

/** Keeps the answer of the last second, for a time zone costs some microseconds. */
export class CallClock {
  readonly #wall: (seconds: number) => Wall
  #seconds = Number.NaN
  #record: CedarRecord = new Map()

  /** An IANA time zone such as `Europe/Berlin`. Throws `RangeError` for one that is not known. */
  constructor(timeZone: string) {
    // The tables of time zones cost every process that reads a configuration some 20 ms.
    this.#wall = timeZone === 'UTC' ? wallOfUtc : wallOf(timeZone)
  }

  /** `now` (datetime), `weekday` (Long, Monday 1 to Sunday 7), `hour` (Long, 0 to 23), `minute` (Long, 0 to 59). */
  record(seconds: number): CedarRecord {
    if (seconds === this.#seconds) return this.#record
    const { weekday, hour, minute } = this.#wall(seconds)
    this.#record = new Map<string, Value>([
      ['now', Datetime.at(seconds * 1000)],
      ['weekday', weekday],
      ['hour', hour],
      ['minute', minute],
    ])
    this.#seconds = seconds
    return this.#record
  }
}

function wallOfUtc(seconds: number): Wall {
  const time = new Date(seconds * 1000)
  // Sunday is 0 there.
  return { weekday: time.getUTCDay() || 7, hour: time.getUTCHours(), minute: time.getUTCMinutes() }
}

function wallOf(timeZone: string): (seconds: number) => Wall {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    weekday: 'short',
    hour: 'numeric',
    minute: 'numeric',
  })
  return (seconds) => {
    const parts = new Map(format.formatToParts(seconds * 1000).map(({ type, value }) => [type, value]))
    return {
      weekday: weekdays.indexOf(parts.get('weekday') ?? '') + 1,
      hour: Number(parts.get('hour')),
      minute: Number(parts.get('minute')),
    }
  }
}
