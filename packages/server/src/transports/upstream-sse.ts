/** Servers behind HTTP+SSE (2024-11-05): a stream for each session, answers matched to requests by id. */

import type { Principal } from '@doorward/core'
import { DuplexSession } from './duplex-session.ts'
import type { DuplexSessionOptions } from './duplex-session.ts'
import { RefusedSession } from './refused-session.ts'
import { CredentialedSender } from './server-credential.ts'
import type { CredentialedAnswer, SentRequest, ServerCredential } from './server-credential.ts'
import { SseChannel } from './sse-channel.ts'
import type { Sent } from './sse-channel.ts'
import { checkUrl, poolOf } from './upstream-http.ts'
import type { UpstreamTls } from './upstream-http.ts'
import type { Upstream } from './upstream.ts'

export interface SseUpstreamOptions extends DuplexSessionOptions {
  readonly name: string
  /** Of the stream. */
  readonly url: string
  readonly tls: UpstreamTls
  /** What the gateway proves itself with in each request; nothing by default. */
  readonly credential?: ServerCredential | null
}

/** Throws `upstream_url_invalid`. Connects to nothing before the first session. */
export function openSseUpstream(options: SseUpstreamOptions): Upstream {
  const url = checkUrl(options)
  const pool = poolOf(options, url)
  const { limits } = options
  let busy = 0
  const sender = new CredentialedSender(options.credential ?? null, (request, handler) => {
    pool.dispatch({ origin: url.origin, ...request }, handler)
  })
  const parts = {
    url,
    limits,
    renews: sender.renews,
    enter: () => (busy >= limits.concurrency ? false : (busy++, true)),
    leave: () => void busy--,
  }
  return {
    name: options.name,
    transport: 'sse',
    open(session) {
      // Each stream leaves room for a message on its way.
      if (busy + 1 >= limits.concurrency || !parts.enter())
        return new RefusedSession(session, { refused: 'upstream_busy', retryAfterSeconds: 5 })
      const principal = (): Principal => session.identified.principal
      const dispatch = (request: SentRequest, handler: CredentialedAnswer, { onUse, given }: Sent) =>
        sender.dispatch(request, handler, { principal: principal(), onUse }, given)
      return new DuplexSession(session, options, (events) => new SseChannel({ ...parts, dispatch }, events))
    },
    modern: null,
    close: () => pool.destroy(),
  }
}
