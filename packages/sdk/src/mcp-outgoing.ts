/** What the bridge must know of a client's message to send it: its kind, its id, and the headers that repeat it. The gateway judges it. */

import { encodeMirrored, isJsonObject, isRequestId, scanJson, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue, RequestId } from '@doorward/core'

export type Outgoing =
  | {
      readonly kind: 'request'
      readonly id: RequestId
      readonly method: string
      readonly modern: ModernHeaders | null
      /** The tool that is called and with what; null for every other method. */
      readonly tool: ToolCall | null
    }
  | {
      readonly kind: 'notification'
      readonly method: string
      readonly cancels: RequestId | null
      readonly modern: ModernHeaders | null
    }
  /** A client's answer to a request of the server. */
  | { readonly kind: 'response' }
  | {
      readonly kind: 'malformed'
      readonly id: RequestId | null
      readonly rpcCode: -32700 | -32600
      readonly problem: string
    }

export interface ToolCall {
  readonly name: string
  readonly args: JsonObject
}

/** Headers in which 2026-07-28 repeats the body (SEP-2243). */
export type ModernHeaders = Readonly<Record<string, string>>

/** What a client may send in one line: as much as the gateway takes and a little more, so that the gateway gets to say no. */
const LIMITS = { maxBytes: 4 * 1024 * 1024, maxDepth: 64, maxKeys: 100_000 }
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion'
const NAMED: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/cancel', 'taskId'],
  ['tasks/update', 'taskId'],
])

export function readOutgoing(line: string): Outgoing {
  const scan = scanJson(utf8(line), LIMITS)
  if (!scan.ok) return { kind: 'malformed', id: null, rpcCode: -32700, problem: `${scan.code}: ${scan.message}` }
  if (!isJsonObject(scan.value)) return malformed(null, 'expected one JSON-RPC object')
  const { id, method, params } = scan.value
  if (typeof method !== 'string') {
    const answers = isRequestId(id) && (scan.value['result'] !== undefined || scan.value['error'] !== undefined)
    return answers
      ? { kind: 'response' }
      : malformed(isRequestId(id) ? id : null, 'expected a method, a result or an error')
  }
  const modern = modernHeaders(method, params)
  if (id === undefined) return { kind: 'notification', method, cancels: cancelled(method, params), modern }
  return isRequestId(id)
    ? { kind: 'request', id, method, modern, tool: calledTool(method, params) }
    : malformed(null, 'expected an id that is a string or an integer')
}

function malformed(id: RequestId | null, problem: string): Outgoing {
  return { kind: 'malformed', id, rpcCode: -32600, problem }
}

function cancelled(method: string, params: JsonValue | undefined): RequestId | null {
  const id = method === 'notifications/cancelled' && isJsonObject(params) ? params['requestId'] : undefined
  return isRequestId(id) ? id : null
}

function calledTool(method: string, params: JsonValue | undefined): ToolCall | null {
  if (method !== 'tools/call' || !isJsonObject(params)) return null
  const { name, arguments: args } = params
  return typeof name === 'string' ? { name, args: isJsonObject(args) ? args : {} } : null
}

function modernHeaders(method: string, params: JsonValue | undefined): ModernHeaders | null {
  const version = isJsonObject(params) && isJsonObject(params['_meta']) ? params['_meta'][VERSION_KEY] : undefined
  if (typeof version !== 'string') return null
  const field = NAMED.get(method)
  const name = field === undefined ? undefined : (params as JsonObject)[field]
  return {
    'mcp-protocol-version': encodeMirrored(version),
    'mcp-method': encodeMirrored(method),
    ...(typeof name === 'string' ? { 'mcp-name': encodeMirrored(name) } : {}),
  }
}

/** A JSON-RPC error as one line. */
export function rpcErrorLine(
  id: RequestId | null,
  error: { readonly code: number; readonly message: string; readonly data?: JsonValue },
): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error })
}

/** Raw line ends can only be whitespace between JSON tokens: a space keeps the value and the line whole. */
export function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]/g, ' ') : text
}
