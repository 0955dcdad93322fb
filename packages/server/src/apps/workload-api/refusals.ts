/** Refusals as they are told: the first of a kind at once, the others counted, so that no program can fill a log by asking. */

import type { RefusedEvent } from './workload-calls.ts'

export interface RefusedTimes extends RefusedEvent {
  /** Refused for this reason since the last word of it. */
  readonly count: number
}

const PAUSE_MILLISECONDS = 10_000
const MAX_KINDS = 64

interface Waiting {
  event: RefusedEvent
  count: number
}

export class Refusals {
  readonly #report: (event: RefusedTimes) => void
  readonly #waiting = new Map<string, Waiting>()
  readonly #timer: NodeJS.Timeout

  constructor(report: (event: RefusedTimes) => void) {
    this.#report = report
    this.#timer = setInterval(() => this.#flush(), PAUSE_MILLISECONDS)
    this.#timer.unref()
  }

  add(event: RefusedEvent): void {
    // Of more kinds than fit, the last are counted together.
    const own = `${event.uid} ${event.method} ${event.reason}`
    const key = this.#waiting.has(own) || this.#waiting.size < MAX_KINDS ? own : 'others'
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) {
      this.#waiting.set(key, { event, count: 0 })
      this.#report({ ...event, count: 1 })
      return
    }
    waiting.event = event
    waiting.count++
  }

  close(): void {
    clearInterval(this.#timer)
    this.#flush()
  }

  #flush(): void {
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { event, count } of all) if (count > 0) this.#report({ ...event, count })
  }
}
