/** What programs can cause at will, as it is told: the first of a kind at once, the others counted, so that nobody fills a log by asking. */

const PAUSE_MILLISECONDS = 10_000
const MAX_KINDS = 64

export interface QuietOptions<T> {
  /** What is counted together. */
  readonly kindOf: (event: T) => string
  /** What is counted together once there are more kinds than are kept apart. */
  readonly othersOf: (event: T) => string
  /** The newest of its kind, and how many there were since the last word of it: 1 for the first. */
  readonly report: (event: T, count: number) => void
}

/** Tells what it has counted every ten seconds, and when it is closed. */
export class ToldQuietly<T> {
  readonly #options: QuietOptions<T>
  readonly #waiting = new Map<string, { event: T; count: number }>()
  readonly #timer: NodeJS.Timeout

  constructor(options: QuietOptions<T>) {
    this.#options = options
    this.#timer = setInterval(() => this.#flush(), PAUSE_MILLISECONDS)
    this.#timer.unref()
  }

  add(event: T): void {
    const { kindOf, othersOf, report } = this.#options
    const own = kindOf(event)
    const key = this.#waiting.has(own) || this.#waiting.size < MAX_KINDS ? own : othersOf(event)
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) {
      this.#waiting.set(key, { event, count: 0 })
      report(event, 1)
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
    for (const { event, count } of all) if (count > 0) this.#options.report(event, count)
  }
}
