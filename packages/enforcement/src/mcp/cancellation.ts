/** What we tell a server of our own accord. */

import { utf8 } from '@doorward/core'
import type { RequestId } from '@doorward/core'

/** Our own `notifications/cancelled`. */
export function cancellation(requestId: RequestId): Uint8Array {
  const params = { requestId, reason: 'the call is not allowed any more' }
  return utf8(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }))
}
