/**
 * Handshakes begin one per turn of the event loop. What is open is served between them, so that a flood of handshakes makes
 * callers wait for one of them and not for all; without one, none waits. While callers are being served, handshakes get a part of
 * the time: the turn in which one is computed is followed by a pause of some times its length.
 */

export interface HandshakePace {
  /** Whether somebody is being served, who would wait. */
  readonly busy: () => boolean
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
}

/** Handshakes get at most a third of the time of a process that serves callers. */
const PAUSES_PER_TURN = 2
/** However slow the machine, one begins after this. */
const MAX_PAUSE_MILLISECONDS = 50

export class HandshakeQueue<Item> {
  readonly #begin: (item: Item) => void
  readonly #pace: HandshakePace
  /** Bounded by whoever adds: the handshakes that may be under way. */
  readonly #waiting: Item[] = []
  #turning = false
  #began = 0

  constructor(begin: (item: Item) => void, pace: HandshakePace) {
    this.#begin = begin
    this.#pace = pace
  }

  add(item: Item): void {
    if (this.#turning) return void this.#waiting.push(item)
    this.#turning = true
    this.#start(item)
  }

  #start(item: Item): void {
    this.#began = this.#pace.monotonic()
    setImmediate(this.#turn)
    this.#begin(item)
  }

  readonly #turn = (): void => {
    // What the client has sent is read, and answered, in the turn after the one in which it begins.
    if (this.#pace.busy()) setImmediate(this.#rest)
    else this.#goOn()
  }

  readonly #rest = (): void => {
    const pause = PAUSES_PER_TURN * (this.#pace.monotonic() - this.#began)
    setTimeout(this.#goOn, Math.min(Math.ceil(pause), MAX_PAUSE_MILLISECONDS))
  }

  readonly #goOn = (): void => {
    // A flood that lasts never leaves the queue empty: who has begun is let go of at once.
    const item = this.#waiting.shift()
    if (item === undefined) this.#turning = false
    else this.#start(item)
  }
}
