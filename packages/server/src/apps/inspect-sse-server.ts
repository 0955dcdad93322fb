/** Asks a server behind HTTP+SSE (2024-11-05) what it defines, over a stream of the gateway's own. Nothing is called. */

import { SseChannel } from '../transports/sse-channel.ts'
import { CredentialedSender } from '../transports/server-credential.ts'
import { poolOf } from '../transports/upstream-http.ts'
import type { UpstreamLimits } from '../transports/upstream.ts'
import { ChannelConversation } from './channel-conversation.ts'
import type { HttpServerPlace } from './inspect-http-server.ts'
import { inspect } from './inspection.ts'
import type { Inspection } from './inspection.ts'

/** What the server defines. Throws `server_start_failed`, `server_answer_invalid`, `server_answer_error`. */
export async function inspectSseServer(
  { url: text, tls, limits, own }: HttpServerPlace & { readonly limits: UpstreamLimits },
  signal: AbortSignal,
  milliseconds?: number,
): Promise<Inspection> {
  const url = new URL(text)
  // The stream, and a message on its way.
  const pool = poolOf({ tls, limits: { ...limits, concurrency: 4 } }, url)
  const sender = new CredentialedSender(own?.credential ?? null, (request, handler) => {
    pool.dispatch({ origin: url.origin, ...request }, handler)
  })
  const conversation = new ChannelConversation(
    { where: url.origin },
    ({ onMessage, onExit }) =>
      new SseChannel(
        {
          url,
          limits,
          renews: sender.renews,
          dispatch: (request, handler, { onUse, given }) =>
            sender.dispatch(request, handler, { principal: null, onUse }, given),
          enter: () => true,
          leave: () => undefined,
        },
        {
          onMessage,
          onRefused: (_id, _code, reason) => onExit(reason),
          onUsed: (_id, use) => own?.onUse(use),
          onExit: (_code, reason) => onExit(reason),
        },
      ),
  )
  try {
    return await inspect(conversation, signal, milliseconds)
  } finally {
    await pool.destroy()
  }
}
