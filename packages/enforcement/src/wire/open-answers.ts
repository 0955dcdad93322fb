/** The answers of one connection that have not ended: requests may come before the earlier ones are answered. */

import type { ServerResponse } from 'node:http'

export class OpenAnswers {
  /** Bounded by what Node.js reads ahead of a connection whose answers wait. */
  readonly #open = new Set<ServerResponse>()

  /** `onIdle` is called when the last one has ended. */
  add(response: ServerResponse, onIdle: () => void): void {
    this.#open.add(response)
    response.once('close', () => {
      this.#open.delete(response)
      if (this.#open.size === 0) onIdle()
    })
  }

  /** The connection has ended. Node.js tells only the answer whose turn it was; the others hear it here, as it would be told. */
  abandon(): void {
    for (const response of this.#open) {
      if (response.socket !== null) continue
      response.destroyed = true
      response.emit('close')
    }
  }
}
