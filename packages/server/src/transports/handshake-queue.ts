/**
 * Handshakes begin one per turn of the event loop. What is open is served between them, so that a flood of handshakes makes
 * callers wait for one of them and not for all; without one, none waits.
 */

export class HandshakeQueue<Item> {
  readonly #begin: (item: Item) => void
  /** Bounded by whoever adds: the handshakes that may be under way. */
  #waiting: Item[] = []
  #next = 0
  #turning = false

  constructor(begin: (item: Item) => void) {
    this.#begin = begin
  }

  add(item: Item): void {
    if (this.#turning) return void this.#waiting.push(item)
    this.#turning = true
    setImmediate(this.#turn)
    this.#begin(item)
  }

  readonly #turn = (): void => {
    const item = this.#waiting[this.#next++]
    if (item === undefined) {
      this.#waiting = []
      this.#next = 0
      this.#turning = false
      return
    }
    setImmediate(this.#turn)
    this.#begin(item)
  }
}
