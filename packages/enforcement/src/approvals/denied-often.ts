/** Callers whose calls of one thing were denied again and again: for a while nobody is asked about more of them. */

interface Denials {
  /** Times of those within the window, in milliseconds. */
  times: readonly number[]
  /** Until when nobody is asked; 0 for no pause. */
  until: number
}

const MOST_KEPT = 1000
const DENIALS = 3

export class DeniedOften {
  readonly #denials = new Map<string, Denials>()

  /** True when this denial begins a pause. */
  denied(key: string, now: number, windowMilliseconds: number): boolean {
    const known = this.#denials.get(key)
    const times = [...(known?.times ?? []).filter((time) => time > now - windowMilliseconds), now]
    const begins = times.length >= DENIALS
    const until = begins ? now + windowMilliseconds : (known?.until ?? 0)
    this.#denials.delete(key)
    this.#denials.set(key, { times: begins ? [] : times, until })
    if (this.#denials.size > MOST_KEPT) this.#dropOldest()
    return begins
  }

  /** Milliseconds until somebody is asked again; 0 for now. */
  pause(key: string, now: number): number {
    return Math.max(0, (this.#denials.get(key)?.until ?? 0) - now)
  }

  #dropOldest(): void {
    const [oldest] = this.#denials.keys()
    if (oldest !== undefined) this.#denials.delete(oldest)
  }
}
