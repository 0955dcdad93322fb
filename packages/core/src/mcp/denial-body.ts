/** What a client reads when its message is refused. */

import { utf8 } from '../bytes.ts'
import type { JsonValue } from '../json-value.ts'
import type { RequestId } from './message.ts'
import type { Era } from './method.ts'
import type { McpRefusal } from './refusal.ts'

/** A JSON-RPC error as UTF-8. `id` is null when the message could not be read. */
export function errorBody(
  id: RequestId | null,
  code: number,
  message: string,
  data?: JsonValue,
): Uint8Array<ArrayBuffer> {
  const error = data === undefined ? { code, message } : { code, message, data }
  return utf8(JSON.stringify({ jsonrpc: '2.0', id, error }))
}

/** The body that answers a refusal; null when it is answered by the status alone. */
export function refusalBody(refusal: McpRefusal<string>): Uint8Array<ArrayBuffer> | null {
  return refusal.rpcCode === null ? null : errorBody(refusal.id, refusal.rpcCode, refusal.message, refusal.data)
}

/** The result of a tool call that was visible but denied: the model reads `text`. */
export function toolDenialResult(id: RequestId, text: string, era: Era = 'legacy'): Uint8Array<ArrayBuffer> {
  const denied = { isError: true, content: [{ type: 'text', text }] }
  const result = era === 'modern' ? { resultType: 'complete', ...denied } : denied
  return utf8(JSON.stringify({ jsonrpc: '2.0', id, result }))
}
