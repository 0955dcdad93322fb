/** Refusals as they are told: the first of a kind at once, the others counted, so that no program can fill a log by asking. */

import type { RefusedCall, SidecarEvent } from './events.ts'

const PAUSE_MILLISECONDS = 10_000
const MAX_KINDS = 64

interface Waiting {
  event: RefusedCall
  count: number
}

export class QuietRefusals {
  readonly #report: (event: SidecarEvent) => void
  readonly #waiting = new Map<string, Waiting>()
  readonly #timer: NodeJS.Timeout

  constructor(report: (event: SidecarEvent) => void) {
    this.#report = report
    this.#timer = setInterval(() => this.#flush(), PAUSE_MILLISECONDS)
    this.#timer.unref()
  }

  add(event: RefusedCall): void {
    // Of more kinds than fit, the last are counted together.
    const own = `${event.code} ${event.to} ${event.reason}`
    const key = this.#waiting.has(own) || this.#waiting.size < MAX_KINDS ? own : 'others'
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) {
      this.#waiting.set(key, { event, count: 0 })
      this.#report(event)
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
