/** A trust state may ask something of everybody at once: each draws a moment of its own, so that nobody is overrun. */

import type { Runtime } from './runtime.ts'

export interface TurnLimits {
  /** The moment lies within so long from when the reason is first seen. */
  readonly spreadMilliseconds: number
  /** Added when the same reason comes back for what was done about it. */
  readonly againMilliseconds: number
}

export interface Asked {
  readonly reason: string
  /** What it is asked about. */
  readonly subject: string
}

/** The present turn of one process. */
export class Turn {
  readonly #runtime: Pick<Runtime, 'monotonic' | 'chance'>
  readonly #limits: TurnLimits
  #drawn: (Asked & { readonly at: number }) | null = null

  constructor(runtime: Pick<Runtime, 'monotonic' | 'chance'>, limits: TurnLimits) {
    this.#runtime = runtime
    this.#limits = limits
  }

  /** Milliseconds until the turn has come; draws it when this is asked for the first time. */
  left({ reason, subject }: Asked): number {
    const { monotonic, chance } = this.#runtime
    const now = monotonic()
    const drawn = this.#drawn
    if (drawn?.reason === reason && drawn.subject === subject) return Math.max(0, drawn.at - now)
    const { spreadMilliseconds, againMilliseconds } = this.#limits
    const wait = (drawn?.reason === reason ? againMilliseconds : 0) + chance() * spreadMilliseconds
    this.#drawn = { reason, subject, at: now + wait }
    return wait
  }
}
