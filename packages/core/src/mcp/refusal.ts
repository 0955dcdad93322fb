/** Messages that are refused before anybody asks policy. */

import type { JsonRefusal } from '../json/scan.ts'
import type { JsonValue } from '../json-value.ts'
import type { MalformedMessage, RequestId } from './message.ts'

export type McpRefusalCode =
  | 'mcp_batch'
  | 'mcp_envelope_malformed'
  | 'mcp_header_mismatch'
  | 'mcp_http_method_refused'
  | 'mcp_key_lookalike'
  | 'mcp_message_malformed'
  | 'mcp_method_unlisted'
  | 'mcp_notification_refused'
  | 'mcp_params_malformed'
  | 'mcp_subject_missing'
  | 'mcp_version_unsupported'

export interface McpRefusal<Code extends string = McpRefusalCode> {
  readonly kind: 'refusal'
  readonly code: Code
  readonly http: number
  /** Code of the JSON-RPC error to answer with; null when the answer has no body. */
  readonly rpcCode: number | null
  /** What the error answers; null when the message had no usable id. */
  readonly id: RequestId | null
  readonly message: string
  readonly data: JsonValue | undefined
}

/** A refusal that answers a request. */
export function refuseRequest(
  code: McpRefusalCode,
  id: RequestId | null,
  answer: { readonly http: number; readonly rpcCode: number; readonly message: string; readonly data?: JsonValue },
): McpRefusal {
  return {
    kind: 'refusal',
    code,
    http: answer.http,
    rpcCode: answer.rpcCode,
    id,
    message: answer.message,
    data: answer.data,
  }
}

/** A refusal of what expects no answer (notification, response, session operation): a status without body. */
export function refuseSilently(code: McpRefusalCode, http: number, message: string): McpRefusal {
  return { kind: 'refusal', code, http, rpcCode: null, id: null, message, data: undefined }
}

/** 400 / −32600. */
export function refuseMalformed(malformed: MalformedMessage): McpRefusal {
  return refuseRequest(malformed.code, malformed.id, { http: 400, rpcCode: -32600, message: malformed.message })
}

/** A body that did not pass `scanJson`: 400 / −32700, or 413 for its size. There is no id to answer to. */
export function refuseJson(scan: JsonRefusal): McpRefusal<JsonRefusal['code']> {
  const http = scan.code === 'json_too_large' ? 413 : 400
  return { kind: 'refusal', code: scan.code, http, rpcCode: -32700, id: null, message: scan.message, data: undefined }
}
