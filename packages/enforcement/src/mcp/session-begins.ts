/** What a permitted message does to its session before its server has it. */

import type { Classified } from '@doorward/core'
import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'
import type { PendingRequest } from './call-scope.ts'
import type { McpSession } from './session.ts'

/**
 * `goes-on` to its server; `done` when there is nothing that the server would have to hear. Denials: `session_unknown`,
 * `stream_limit` and `request_invalid`, for what others have done since the message was judged.
 */
export function beginIn(
  session: McpSession,
  message: Classified,
  request: PendingRequest | null,
): 'goes-on' | 'done' | Denial {
  if (session.ended) return deny('session_unknown', 'the session ended while the request was judged')
  // Others may have begun since this one was judged.
  if (message.kind === 'session-operation' && message.operation === 'stream' && !session.mayStream())
    return deny('stream_limit', 'the session has as many streams open as it may')
  if (request !== null && !session.expect(request))
    return deny('request_invalid', 'too many requests wait, or one with this id')
  if (message.kind !== 'notification' || message.method !== 'notifications/cancelled') return 'goes-on'
  // Its server has not heard of a call that waits for a human.
  if (message.refersTo !== undefined && session.cancelHeld(message.refersTo)) return 'done'
  if (message.refersTo !== undefined) session.cancel(message.refersTo)
  return 'goes-on'
}
