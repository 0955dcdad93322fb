/** Tells the authority how far we have come: the newest state alone, one message at a time, until it was heard. */

import { ServerRefused } from './refusal.ts'
import { backoffMilliseconds } from './runtime.ts'
import type { Runtime } from './runtime.ts'

export interface AcknowledgerOptions<Told> {
  /** Rejects when it was not heard. */
  readonly send: (told: Told) => Promise<void>
  readonly runtime: Pick<Runtime, 'sleep' | 'chance'>
  readonly onProblem: (error: unknown) => void
  /** Everybody hears of a state in the same moment: those who are many answer within so long, each at a moment of its own. 0 by default. */
  readonly spreadMilliseconds?: number
}

const BACKOFF = { first: 1000, cap: 30_000 }

export class Acknowledger<Told> {
  readonly #options: AcknowledgerOptions<Told>
  #wanted: { readonly told: Told; readonly signal: AbortSignal } | null = null
  #busy = false

  constructor(options: AcknowledgerOptions<Told>) {
    this.#options = options
  }

  /** Returns at once. What was to be told before, and was not yet heard, is not told any more. */
  tell(told: Told, signal: AbortSignal): void {
    this.#wanted = { told, signal }
    if (!this.#busy) void this.#run()
  }

  async #run(): Promise<void> {
    const { runtime } = this.#options
    this.#busy = true
    for (let failures = 0; this.#wanted !== null;) {
      if (failures === 0 && this.#isSpread) await this.#spread(this.#wanted.signal)
      const { told, signal } = this.#wanted
      const problem = signal.aborted ? null : await this.#attempt(told, signal)
      failures = problem === null ? 0 : failures + 1
      if (problem !== null) await runtime.sleep(this.#pause(failures, problem), signal)
      else if (this.#wanted.told === told) this.#wanted = null
    }
    this.#busy = false
  }

  get #isSpread(): boolean {
    return (this.#options.spreadMilliseconds ?? 0) > 0
  }

  /** Of what becomes known meanwhile, the newest alone is told. */
  async #spread(signal: AbortSignal): Promise<void> {
    const { runtime, spreadMilliseconds = 0 } = this.#options
    await runtime.sleep(runtime.chance() * spreadMilliseconds, signal)
  }

  /** Null when it was heard, or is not to be told any more. */
  async #attempt(told: Told, signal: AbortSignal): Promise<unknown> {
    try {
      await this.#options.send(told)
      return null
    } catch (error) {
      if (signal.aborted) return null
      this.#options.onProblem(error)
      return error
    }
  }

  #pause(failures: number, problem: unknown): number {
    const chance = this.#options.runtime.chance()
    const asked = problem instanceof ServerRefused ? (problem.retryAfterSeconds ?? 0) * 1000 * (1 + chance / 2) : 0
    return Math.max(backoffMilliseconds(failures - 1, BACKOFF, chance), Math.min(asked, 2 * BACKOFF.cap))
  }
}
