/** Calls that wait until somebody has answered: bounded in number and time, and each by the patience of its caller. */

const MOST_WAITING = 1000

export class ApprovalWaiting {
  /** By request. */
  readonly #waiting = new Map<string, Set<() => void>>()
  #size = 0
  #closed = false

  get size(): number {
    return this.#size
  }

  /** Resolves with the answer, when the time is over, or when the caller has gone; at once when too many wait. */
  wait(id: string, milliseconds: number, whenGone: (listener: () => void) => void): Promise<void> {
    if (milliseconds === 0 || this.#closed || this.#size >= MOST_WAITING) return Promise.resolve()
    return new Promise((resolve) => {
      const some = this.#waiting.get(id) ?? new Set()
      this.#waiting.set(id, some)
      const done = () => {
        if (!some.delete(done)) return
        this.#size--
        clearTimeout(timer)
        if (some.size === 0 && this.#waiting.get(id) === some) this.#waiting.delete(id)
        resolve()
      }
      const timer = setTimeout(done, milliseconds).unref()
      some.add(done)
      this.#size++
      whenGone(done)
    })
  }

  /** Lets everybody go on who waits for it. */
  answer(id: string): void {
    for (const done of this.#waiting.get(id) ?? []) done()
  }

  /** Lets everybody go on; nobody waits from now on. */
  close(): void {
    this.#closed = true
    for (const some of this.#waiting.values()) for (const done of some) done()
  }
}
