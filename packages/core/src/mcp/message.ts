/** One JSON-RPC 2.0 message as MCP allows it. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { fieldTable, hasLookalikeKey } from './lookalike-keys.ts'

/** MCP knows no null and no fractional ids. */
export type RequestId = string | number

export type McpMessage =
  | {
      readonly kind: 'request'
      readonly id: RequestId
      readonly method: string
      readonly params: JsonObject | undefined
    }
  | { readonly kind: 'notification'; readonly method: string; readonly params: JsonObject | undefined }
  | { readonly kind: 'result'; readonly id: RequestId; readonly result: JsonObject }
  /** `id` is null when the sender could not tell what it answers. */
  | { readonly kind: 'error'; readonly id: RequestId | null; readonly rpcCode: number }

export interface MalformedMessage {
  readonly kind: 'malformed'
  readonly code: 'mcp_batch' | 'mcp_message_malformed' | 'mcp_key_lookalike'
  /** The id, where it could be told. */
  readonly id: RequestId | null
  readonly message: string
}

/** Longest id or progress token that is kept, in UTF-16 units. */
const MAX_ID_LENGTH = 256

const MESSAGE_FIELDS = fieldTable('jsonrpc', 'id', 'method', 'params', 'result', 'error')
const PARAMS_FIELDS = fieldTable(
  '_meta',
  'argument',
  'arguments',
  'capabilities',
  'clientInfo',
  'context',
  'cursor',
  'elicitationId',
  'inputResponses',
  'level',
  'message',
  'mode',
  'name',
  'notifications',
  'progress',
  'progressToken',
  'protocolVersion',
  'reason',
  'ref',
  'requestId',
  'requestState',
  'status',
  'task',
  'taskId',
  'total',
  'uri',
  'url',
)
const META_FIELDS = fieldTable(
  'progressToken',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
  'io.modelcontextprotocol/logLevel',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/related-task',
  'io.modelcontextprotocol/subscriptionId',
)
const REF_FIELDS = fieldTable('type', 'name', 'uri', 'title')
const FILTER_FIELDS = fieldTable(
  'toolsListChanged',
  'promptsListChanged',
  'resourcesListChanged',
  'resourceSubscriptions',
  'taskIds',
)

/**
 * Reads a scanned value as one JSON-RPC 2.0 message. Strict: `jsonrpc` is "2.0", no unknown members at
 * the top, ids are safe integers or strings of 1 to 256 units, `params` and results are objects, and
 * no key of the message, `params`, `_meta`, `ref` or `notifications` is a lookalike (see
 * `hasLookalikeKey`); `arguments` stay case-sensitive. Batches are refused in every revision.
 *
 * Codes: `mcp_batch`, `mcp_message_malformed`, `mcp_key_lookalike`; all mean −32600.
 * Not checked: whether the method exists and what its params need.
 */
export function parseMessage(value: JsonValue | undefined): McpMessage | MalformedMessage {
  if (Array.isArray(value)) return malformed('mcp_batch', null, 'expected one message, got a batch')
  if (!isJsonObject(value)) return malformed('mcp_message_malformed', null, 'expected a JSON-RPC object')
  const rawId = value['id']
  const id = isRequestId(rawId) ? rawId : null
  if (hasLookalikeKey(value, MESSAGE_FIELDS)) return malformed('mcp_key_lookalike', id, LOOKALIKE)
  for (const key in value) {
    if (MESSAGE_FIELDS.get(key) !== key)
      return malformed('mcp_message_malformed', id, 'expected no members besides those of JSON-RPC')
  }
  if (value['jsonrpc'] !== '2.0') return malformed('mcp_message_malformed', id, 'expected "jsonrpc" to be "2.0"')
  if (rawId !== undefined && id === null && !(rawId === null && value['error'] !== undefined)) {
    return malformed('mcp_message_malformed', null, 'expected an id that is a string or an integer')
  }
  return value['method'] === undefined
    ? parseResponse(value, id)
    : parseCall(value, rawId === undefined ? undefined : id)
}

/** A string of 1 to 256 units or a safe integer; also the shape of progress tokens. */
export function isRequestId(value: JsonValue | undefined): value is RequestId {
  return typeof value === 'string' ? value.length > 0 && value.length <= MAX_ID_LENGTH : Number.isSafeInteger(value)
}

const LOOKALIKE = 'expected no keys that differ only in case or hold control characters'

function malformed(code: MalformedMessage['code'], id: RequestId | null, message: string): MalformedMessage {
  return { kind: 'malformed', code, id, message }
}

function parseCall(value: JsonObject, id: RequestId | null | undefined): McpMessage | MalformedMessage {
  const method = value['method']
  const params = value['params']
  const answered = id ?? null
  if (typeof method !== 'string')
    return malformed('mcp_message_malformed', answered, 'expected "method" to be a string')
  if (value['result'] !== undefined || value['error'] !== undefined || id === null) {
    return malformed('mcp_message_malformed', answered, 'expected either a call or a response')
  }
  if (params === undefined)
    return id === undefined ? { kind: 'notification', method, params } : { kind: 'request', id, method, params }
  if (!isJsonObject(params)) return malformed('mcp_message_malformed', answered, 'expected "params" to be an object')
  if (hasLookalikeParams(params)) return malformed('mcp_key_lookalike', answered, LOOKALIKE)
  return id === undefined ? { kind: 'notification', method, params } : { kind: 'request', id, method, params }
}

function hasLookalikeParams(params: JsonObject): boolean {
  return (
    hasLookalikeKey(params, PARAMS_FIELDS) ||
    isLookalikeIn(params['_meta'], META_FIELDS) ||
    isLookalikeIn(params['ref'], REF_FIELDS) ||
    isLookalikeIn(params['notifications'], FILTER_FIELDS)
  )
}

function isLookalikeIn(value: JsonValue | undefined, fields: ReadonlyMap<string, string>): boolean {
  return isJsonObject(value) && hasLookalikeKey(value, fields)
}

function parseResponse(value: JsonObject, id: RequestId | null): McpMessage | MalformedMessage {
  const result = value['result']
  const error = value['error']
  if (value['params'] !== undefined || (result === undefined) === (error === undefined)) {
    return malformed('mcp_message_malformed', id, 'expected a method, a result or an error, and only one of them')
  }
  if (error !== undefined) {
    const rpcCode = isJsonObject(error) && typeof error['message'] === 'string' ? error['code'] : undefined
    if (!Number.isSafeInteger(rpcCode))
      return malformed('mcp_message_malformed', id, 'expected an error with code and message')
    return { kind: 'error', id, rpcCode: rpcCode as number }
  }
  if (!isJsonObject(result) || id === null)
    return malformed('mcp_message_malformed', id, 'expected an id and an object as result')
  return { kind: 'result', id, result }
}
