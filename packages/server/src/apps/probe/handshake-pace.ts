/** How fast connections are opened, so that what is seen is the refusal that is tried and not the limit of handshakes. */

import type { ProbeLimits } from './configured-limits.ts'

/** Others of this address open some as well. */
const share = 0.8

export class HandshakePace {
  readonly #perMillisecond: number
  readonly #most: number
  #left: number
  #at = performance.now()

  constructor({ count, periodSeconds, burst }: ProbeLimits['leastHandshakes']) {
    this.#perMillisecond = (share * count) / periodSeconds / 1000
    this.#most = Math.max(1, burst / 2)
    this.#left = this.#most
  }

  /** Resolves when one more may be opened. */
  async take(): Promise<void> {
    const now = performance.now()
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#perMillisecond) - 1
    this.#at = now
    if (this.#left < 0) await new Promise((resolve) => setTimeout(resolve, -this.#left / this.#perMillisecond))
  }
}
