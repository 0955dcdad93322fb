/**
 * Whether one more process of a server may be started: so many at once, and after crashes a pause for the caller whose
 * processes crashed, which is nobody else's affair.
 */

import { Circuit } from './circuit.ts'
import type { CircuitThreshold, Ticket } from './circuit.ts'

export interface ProcessStartsOptions {
  /** Processes at once. */
  readonly processes: number
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** Uniform in [0, 1). */
  readonly chance: () => number
}

export type Start =
  | {
      /** The process has ended, as it was asked to or by itself; once. */
      readonly ended: (how: 'asked' | 'crashed') => void
      /** It has lived for a while. */
      readonly lives: () => void
    }
  | { readonly refused: 'upstream_busy' | 'upstream_circuit_open'; readonly retryAfterSeconds: number }

/** Three crashes in a row, then a pause of a second that doubles up to a minute. */
const crashes: CircuitThreshold = {
  inARow: 3,
  percent: 100,
  least: Number.POSITIVE_INFINITY,
  windowMilliseconds: 60_000,
  pauseMilliseconds: 1000,
  longestPauseMilliseconds: 60_000,
}
/** Owners whose crashes are remembered; the one who has crashed longest ago is forgotten. */
const OWNERS = 1024
/** One place in so many is kept for callers who have no process yet, so that nobody alone takes them all. */
const ONE_KEPT_OF = 4

export class ProcessStarts {
  readonly #options: ProcessStartsOptions
  readonly #owners = new Map<string, Circuit>()
  /** Processes that run, by owner. */
  readonly #held = new Map<string, number>()
  #running = 0

  constructor(options: ProcessStartsOptions) {
    this.#options = options
  }

  /** Processes that run. */
  get running(): number {
    return this.#running
  }

  start(owner: string): Start {
    const { processes } = this.#options
    const kept = this.#held.has(owner) ? Math.floor(processes / ONE_KEPT_OF) : 0
    if (this.#running >= processes - kept) return { refused: 'upstream_busy', retryAfterSeconds: 5 }
    const start = this.startUncounted(owner)
    if ('refused' in start) return start
    this.#hold(owner, 1)
    return {
      lives: start.lives,
      ended: (how) => {
        this.#hold(owner, -1)
        start.ended(how)
      },
    }
  }

  #hold(owner: string, change: 1 | -1): void {
    this.#running += change
    const held = (this.#held.get(owner) ?? 0) + change
    if (held === 0) this.#held.delete(owner)
    else this.#held.set(owner, held)
  }

  /** For a question of the gateway's own, of which there is one at a time: it takes nobody's place. */
  startUncounted(owner: string): Start {
    const { monotonic } = this.#options
    const circuit = this.#owners.get(owner)
    const ticket = circuit?.enter(monotonic())
    if (circuit !== undefined && ticket === null) {
      return { refused: 'upstream_circuit_open', retryAfterSeconds: circuit.retryAfterSeconds(monotonic()) }
    }
    return this.#started(owner, ticket ?? null)
  }

  #started(owner: string, ticket: Ticket | null): Start {
    let told = false
    const tell = (result: 'good' | 'failed') => {
      if (told) return
      told = true
      this.#tell(owner, ticket, result)
    }
    return {
      lives: () => tell('good'),
      ended: (how) => tell(how === 'crashed' ? 'failed' : 'good'),
    }
  }

  /** Whoever never had a crash is not remembered. */
  #tell(owner: string, ticket: Ticket | null, result: 'good' | 'failed'): void {
    const now = this.#options.monotonic()
    const known = this.#owners.get(owner)
    if (known === undefined && result === 'good') return
    const circuit = known ?? new Circuit(crashes, this.#options.chance)
    circuit.ended(ticket ?? 0, result, now)
    this.#owners.delete(owner)
    if (circuit.inARow > 0) this.#owners.set(owner, circuit)
    if (this.#owners.size <= OWNERS) return
    for (const [oldest] of this.#owners) {
      this.#owners.delete(oldest)
      return
    }
  }
}
