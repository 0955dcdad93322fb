/** One place of an authority for tests: two listeners that can fail, fall silent and go. */

import type { Server } from 'node:https'

/** Where the authority is reached: one authority of several on one store, as far as a client can tell. */
export class FakePlace {
  readonly name: string
  readonly servers: Server[] = []
  main = ''
  enrol = ''
  /** Answers every request to this place's main listener with this status and code, when set. */
  failWith: { readonly status: number; readonly code: string; readonly retryAfter?: string } | null = null
  /** Takes requests and answers none; streams go on without a word. */
  silent = false

  constructor(name: string) {
    this.name = name
  }

  async close(): Promise<void> {
    for (const server of this.servers.splice(0)) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}
