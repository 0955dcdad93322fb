/** Plain JSON-RPC by a declared mapping: the method of the body is what is called, and counts as what it is declared as. */

import { DEFAULT_JSON_LIMITS, readRpcCall, scanJson } from '@doorward/core'
import type { Action, JsonValue, Resource, ToolEffect } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial } from './denial.ts'
import type { RequestHead } from './inbound.ts'
import { isMediaType } from './media-type.ts'

/** Of every message: what a body is read as is what it is passed on as. */
export const jsonType = 'application/json'

export interface RpcRequest {
  readonly action: Action
  readonly resource: Resource
  readonly id: string | number
  readonly value: JsonValue
}

export interface RpcRules {
  /** As policy knows it. */
  readonly service: string
  /** What is not among them exists for nobody. */
  readonly methods: ReadonlyMap<string, ToolEffect>
}

/** Messages are posted to one place, and whatever else could say something of them is refused. */
export function messageProblem(
  { method, query }: { readonly method: string; readonly query: string },
  isItsPath: boolean,
): Denial | null {
  if (!isItsPath) return deny('path_unknown', 'messages are posted to one path')
  if (method !== 'POST') return deny('http_method', `expected POST, got ${method}`)
  return query === '' ? null : deny('request_invalid', 'a query beside a message')
}

/** One JSON text that can be read in one way. Denials: `content_type`, and those of JSON. */
export function readJsonBody(body: Uint8Array, { headers }: RequestHead): { readonly value: JsonValue } | Denial {
  if (!isMediaType(headers['content-type'], jsonType))
    return deny('content_type', 'expected application/json, in UTF-8')
  const scan = scanJson(body, { ...DEFAULT_JSON_LIMITS, maxBytes: body.length })
  return scan.ok ? scan : deny(scan.code, `${scan.message}, at byte ${scan.offset}`)
}

/** Denials: those of `readJsonBody` and of `readRpcCall`, and `method_unknown`. */
export function rpcRequest(body: Uint8Array, head: RequestHead, { service, methods }: RpcRules): RpcRequest | Denial {
  const read = readJsonBody(body, head)
  if ('denied' in read) return read
  const call = readRpcCall(read.value)
  if ('code' in call) return deny(call.code, call.message, { rpcId: call.id ?? undefined })
  const { id, method } = call
  const group = methods.get(method)
  if (group === undefined) return deny('method_unknown', 'the method is not declared', { rpcId: id })
  return {
    action: { name: 'rpc/call', group },
    resource: { server: service, kind: 'tool', name: method },
    id,
    value: read.value,
  }
}
