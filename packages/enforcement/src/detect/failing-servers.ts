/** Servers behind the gateway that do not answer as they should: so many calls in a row, or so large a share of the last ones. */

export interface FailingThreshold {
  readonly inARow: number
  /** Share of the calls within the window, of which there have to be `least`. */
  readonly percent: number
  readonly least: number
  readonly seconds: number
}

export interface FailingServer {
  readonly server: string
  readonly inARow: number
  readonly failed: number
  readonly calls: number
}

const SLOTS = 6
const RING = SLOTS + 1
/** Nobody has called it since: what it was then says nothing any more. */
const QUIET = 600_000

interface Calls {
  readonly calls: number[]
  readonly failed: number[]
  slot: number
  inARow: number
  lastAt: number
  raised: boolean
}

/** One row for each configured server. */
export class FailingServers {
  readonly #threshold: FailingThreshold
  readonly #slotMilliseconds: number
  readonly #servers: Map<string, Calls>

  constructor(servers: Iterable<string>, threshold: FailingThreshold) {
    this.#threshold = threshold
    this.#slotMilliseconds = (threshold.seconds * 1000) / SLOTS
    this.#servers = new Map(Array.from(servers, (name) => [name, blank()]))
  }

  /** From now on these are the servers; what was counted of those that stay goes on. */
  follow(servers: readonly string[]): void {
    for (const name of this.#servers.keys()) if (!servers.includes(name)) this.#servers.delete(name)
    for (const name of servers) if (!this.#servers.has(name)) this.#servers.set(name, blank())
  }

  /** A call has ended. `now`: milliseconds that never go back. */
  ended(server: string, failed: boolean, now: number): void {
    const one = this.#servers.get(server)
    if (one === undefined) return
    this.#advance(one, now)
    const at = one.slot % RING
    one.calls[at] = (one.calls[at] ?? 0) + 1
    one.lastAt = now
    if (!failed) {
      one.inARow = 0
      return
    }
    one.failed[at] = (one.failed[at] ?? 0) + 1
    one.inARow++
  }

  look(now: number): readonly FailingServer[] {
    const found: FailingServer[] = []
    for (const [server, one] of this.#servers) {
      this.#advance(one, now)
      const calls = one.calls.reduce((sum, count) => sum + count, 0)
      const failed = one.failed.reduce((sum, count) => sum + count, 0)
      const share = calls >= this.#threshold.least && failed * 100 >= calls * this.#threshold.percent
      const fails = one.inARow >= this.#threshold.inARow || share
      // Without an answer in between it fails still, as long as anybody has asked.
      one.raised = fails || (one.raised && one.inARow > 0)
      if (now - one.lastAt > QUIET) Object.assign(one, { raised: false, inARow: 0 })
      if (one.raised) found.push({ server, inARow: one.inARow, failed, calls })
    }
    return found
  }

  #advance(one: Calls, now: number): void {
    const slot = Math.floor(now / this.#slotMilliseconds)
    const passed = Number.isNaN(one.slot) ? 0 : slot - one.slot
    if (passed < 0) return
    for (let step = 0; step < Math.min(passed, RING); step++) {
      one.calls[(slot - step) % RING] = 0
      one.failed[(slot - step) % RING] = 0
    }
    one.slot = slot
  }
}

function blank(): Calls {
  const zeros = () => Array.from({ length: RING }, () => 0)
  return {
    calls: zeros(),
    failed: zeros(),
    slot: Number.NaN,
    inARow: 0,
    lastAt: Number.NEGATIVE_INFINITY,
    raised: false,
  }
}
