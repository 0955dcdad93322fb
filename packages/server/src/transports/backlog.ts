/** What has been read of a server and not delivered yet: beyond a bound nothing more of it is read. */

/** Bytes, beside the message that is being delivered and what the channel itself holds. */
export const mostBacklog = 64 * 1024

export interface Pausable {
  pause(): void
  resume(): void
}

export class Backlog {
  readonly #channel: Pausable
  #held = 0
  #paused = false

  constructor(channel: Pausable) {
    this.#channel = channel
  }

  /** So many bytes wait to be delivered. */
  take(bytes: number): void {
    this.#held += bytes
    if (this.#paused || this.#held <= mostBacklog) return
    this.#paused = true
    this.#channel.pause()
  }

  /** They have been delivered, or dropped. */
  give(bytes: number): void {
    this.#held -= bytes
    if (!this.#paused || this.#held > mostBacklog / 2) return
    this.#paused = false
    this.#channel.resume()
  }
}
