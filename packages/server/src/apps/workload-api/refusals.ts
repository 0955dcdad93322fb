/** Refusals and problems as they are told: the first of a kind at once, the others counted, so that no program can fill a log by asking. */

import { isDoorwardError } from '@doorward/core'
import type { RefusedEvent } from './workload-calls.ts'

export interface RefusedTimes extends RefusedEvent {
  /** Refused for this reason since the last word of it. */
  readonly count: number
}

export interface ProblemTimes {
  readonly type: 'problem'
  /** The newest of its code. */
  readonly error: unknown
  /** Of its code since the last word of it. */
  readonly count: number
}

type Told = RefusedEvent | { readonly type: 'problem'; readonly error: unknown }

const PAUSE_MILLISECONDS = 10_000
const MAX_KINDS = 64

interface Waiting {
  event: Told
  count: number
}

export class Refusals {
  readonly #report: (event: RefusedTimes | ProblemTimes) => void
  readonly #waiting = new Map<string, Waiting>()
  readonly #timer: NodeJS.Timeout

  constructor(report: (event: RefusedTimes | ProblemTimes) => void) {
    this.#report = report
    this.#timer = setInterval(() => this.#flush(), PAUSE_MILLISECONDS)
    this.#timer.unref()
  }

  add(event: Told): void {
    // Of more kinds than fit, the last are counted together.
    const own = kindOf(event)
    const key = this.#waiting.has(own) || this.#waiting.size < MAX_KINDS ? own : `other ${event.type}`
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

function kindOf(event: Told): string {
  if (event.type === 'refused') return `${event.uid} ${event.method} ${event.reason}`
  return `problem ${isDoorwardError(event.error) ? event.error.code : 'internal'}`
}
