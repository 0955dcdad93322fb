/** One call of JSON-RPC 2.0 that waits for its answer: what plain services and agents are asked with. */

import type { JsonValue } from '../json-value.ts'
import { isJsonObject } from './object.ts'

export type RpcId = string | number

export interface RpcCall {
  readonly id: RpcId
  readonly method: string
  readonly params: JsonValue | undefined
}

export interface RpcCallRefusal {
  readonly code: 'message_malformed' | 'message_batch' | 'notification_unknown'
  readonly id: RpcId | null
  readonly message: string
}

const FIELDS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params'])
const MAX_ID = 256
const MAX_METHOD = 256

const METHOD = /^[A-Za-z0-9_][A-Za-z0-9_./:-]{0,127}$/

const PATH = /^(?:\/|(?:\/[A-Za-z0-9._~-]+)+)$/
/** Clients take them out before they ask (RFC 3986 §5.2.4). */
const DOTS = /\/\.\.?(?:\/|$)/

/** A path to which messages are posted: one spelling, and nothing that could be read as a template. */
export function isEndpointPath(path: string): boolean {
  return PATH.test(path) && !DOTS.test(path)
}

/** A name by which a method can be declared. */
export function isRpcMethod(name: string): boolean {
  return METHOD.test(name)
}

/** Strict: no other members than those four, ids are safe integers or strings of 1 to 256 units, params are structured. */
export function readRpcCall(value: JsonValue): RpcCall | RpcCallRefusal {
  if (Array.isArray(value)) return { code: 'message_batch', id: null, message: 'expected one message, got a batch' }
  if (!isJsonObject(value)) return { code: 'message_malformed', id: null, message: 'expected a JSON-RPC object' }
  const { jsonrpc, id: given, method, params } = value
  const id = isRpcId(given) ? given : null
  const malformed = (message: string): RpcCallRefusal => ({ code: 'message_malformed', id, message })
  if (!Object.keys(value).every((key) => FIELDS.has(key)))
    return malformed('expected jsonrpc, id, method and params alone')
  if (jsonrpc !== '2.0' || typeof method !== 'string' || method === '' || method.length > MAX_METHOD)
    return malformed('expected a JSON-RPC 2.0 request')
  if (params !== undefined && !isJsonObject(params) && !Array.isArray(params))
    return malformed('expected params to be an object or an array')
  if (given === undefined)
    return { code: 'notification_unknown', id: null, message: 'expected a request, which has an id' }
  return id === null ? malformed('expected an id that is a string or an integer') : { id, method, params }
}

function isRpcId(value: JsonValue | undefined): value is RpcId {
  return typeof value === 'string' ? value.length > 0 && value.length <= MAX_ID : Number.isSafeInteger(value)
}
