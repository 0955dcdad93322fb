/** A session for which there is no server: there are as many as there may be, or it is too early. */

import type { DenialCode, McpCall, McpSession } from '@doorward/enforcement'
import type { Permit } from '@doorward/enforcement'
import type { Reply, UpstreamSession } from './upstream.ts'

export interface Refused {
  readonly refused: DenialCode
  readonly retryAfterSeconds: number
}

export class RefusedSession implements UpstreamSession {
  readonly #session: McpSession
  readonly #why: Refused

  constructor(session: McpSession, why: Refused) {
    this.#session = session
    this.#why = why
  }

  forward(_permit: Permit<McpCall>, reply: Reply): void {
    reply.fail(this.#why.refused, 'no session may be opened at the server now', this.#why.retryAfterSeconds)
    this.#session.end()
  }

  cancel(): void {
    // Nothing was sent.
  }

  end(): void {
    // Nothing was begun.
  }
}
