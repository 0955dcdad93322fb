/** Whether this authority may sign anything now: lease, clock, and whatever else was found wrong with what it relies on. */

import type { ClockGuard } from './clock-guard.ts'
import type { Lease } from './lease.ts'

export class Fitness {
  readonly clock: Pick<ClockGuard, 'unfit' | 'problems' | 'hasReached' | 'heardStore'>
  readonly #lease: Pick<Lease, 'unfit'>
  readonly #held = new Map<string, string>()

  constructor(lease: Pick<Lease, 'unfit'>, clock: Fitness['clock']) {
    this.#lease = lease
    this.clock = clock
  }

  /** Nothing is signed until it is released; the newest text of a code counts. */
  hold(code: string, text: string): void {
    this.#held.set(code, text)
  }

  release(code: string): void {
    this.#held.delete(code)
  }

  isHeld(code: string): boolean {
    return this.#held.has(code)
  }

  /** Why nothing may be signed, with the code of what is wrong; null when all is well. */
  unfit(): string | null {
    const [first] = this.#held
    return this.#lease.unfit() ?? this.clock.unfit() ?? (first === undefined ? null : `${first[0]}: ${first[1]}`)
  }
}
