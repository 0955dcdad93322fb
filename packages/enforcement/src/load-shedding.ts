/**
 * Who is turned away when the process has more to do than it can: first new connections, then requests of strangers, and
 * never those of callers whom an open connection has shown already (reference threats.md §6). Pure: fed with what is
 * measured, and over as soon as that says so.
 */

import type { Inbound } from './inbound.ts'

export interface LoadLimits {
  /** Lag of the event loop that is too much when it lasts; 50 by default. */
  readonly lagMilliseconds: number
  /** How many looks in a row must find it: one slow turn is no overload. 4 by default. */
  readonly looks: number
  /** Share of the heap that may be used before no connection is accepted; 0.95 by default. */
  readonly heapShare: number
}

export const defaultLoadLimits: LoadLimits = { lagMilliseconds: 50, looks: 4, heapShare: 0.95 }

export type LoadLevel = 'none' | 'handshakes' | 'strangers'
export type LoadRefusal = 'overloaded' | 'memory_limit'

const levels: readonly LoadLevel[] = ['none', 'handshakes', 'strangers']

/** Probes are answered whatever happens: who is restarted for being busy serves nobody. */
const probes = new Set(['/livez', '/readyz'])

export class LoadShedding {
  readonly #limits: LoadLimits
  #level = 0
  /** Looks in a row that speak for the next level, or for the one before. */
  #above = 0
  #below = 0
  #memory = false

  constructor(limits: Partial<LoadLimits> = {}) {
    this.#limits = { ...defaultLoadLimits, ...limits }
  }

  get level(): LoadLevel {
    return levels[this.#level] ?? 'strangers'
  }

  /** True while the heap is nearly full. */
  get memory(): boolean {
    return this.#memory
  }

  /** What one look at the event loop has found. */
  observe(lagMilliseconds: number): void {
    const { lagMilliseconds: most, looks } = this.#limits
    const over = lagMilliseconds > most
    this.#above = over ? this.#above + 1 : 0
    this.#below = over ? 0 : this.#below + 1
    if (this.#above >= looks) this.#move(1)
    else if (this.#below >= looks) this.#move(-1)
  }

  /** Used share of the heap's limit, 0 to 1. */
  observeHeap(share: number): void {
    this.#memory = share >= this.#limits.heapShare
  }

  /** Why no connection is accepted now; null when they are. */
  connectionRefusal(): LoadRefusal | null {
    if (this.#memory) return 'memory_limit'
    return this.#level > 0 ? 'overloaded' : null
  }

  /** Whether the request is a stranger's, and strangers are not served now. */
  shedsRequest({ connection, head, asker }: Inbound): boolean {
    const isProbe = asker === undefined && probes.has(head.path)
    return this.#level > 1 && !connection.standing.identified && !isProbe
  }

  #move(step: 1 | -1): void {
    this.#level = Math.min(Math.max(this.#level + step, 0), levels.length - 1)
    this.#above = 0
    this.#below = 0
  }
}
