/** What a server sends to its client, so that a gateway can pair answers with requests and stop what is not legal. */

import type { JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { isRequestId, parseMessage, type MalformedMessage, type RequestId } from './message.ts'
import type { McpSubject, Revision, ServerMethod } from './method.ts'
import { findSubject } from './subject.ts'

/** How a server wants to ask the user; `form` unless it says otherwise. */
export type ElicitationMode = 'form' | 'url'

export type ServerMessage =
  /** Answers the client's request `id`: pass it only while that request is pending. */
  | { readonly kind: 'response'; readonly id: RequestId; readonly outcome: 'result' | 'error' }
  /** An error for a message that the server could not read. */
  | { readonly kind: 'unaddressed-error'; readonly rpcCode: number }
  | {
      readonly kind: 'notification'
      readonly method: string
      readonly row: ServerMethod
      readonly subject: McpSubject
      /** The client's request or progress token that it names. */
      readonly refersTo: RequestId | undefined
    }
  /** Pass it only to a client that has declared `row.capability`. */
  | {
      readonly kind: 'request'
      readonly id: RequestId
      readonly method: string
      readonly row: ServerMethod
      readonly subject: McpSubject
      /** Set for `elicitation/create`. */
      readonly mode: ElicitationMode | undefined
    }

export interface ServerMessageRefusal {
  readonly kind: 'refusal'
  readonly code: MalformedMessage['code'] | 'mcp_method_unlisted' | 'mcp_subject_missing'
  /** The server's request that is to be answered with `rpcCode`; null when there is nothing to answer. */
  readonly id: RequestId | null
  readonly rpcCode: number
  readonly message: string
}

/**
 * Classifies one scanned message from the server by the revision of the session. What the revision does
 * not list in this direction is refused: `mcp_method_unlisted` (−32601), `mcp_subject_missing` (−32602),
 * and the codes of `parseMessage` (−32600).
 * Not checked: ids and tokens against what is pending, and the content of results.
 */
export function classifyServerMessage(value: JsonValue, revision: Revision): ServerMessage | ServerMessageRefusal {
  const message = parseMessage(value)
  switch (message.kind) {
    case 'malformed':
      return { kind: 'refusal', code: message.code, id: null, rpcCode: -32600, message: message.message }
    case 'result':
      return { kind: 'response', id: message.id, outcome: 'result' }
    case 'error':
      return message.id === null
        ? { kind: 'unaddressed-error', rpcCode: message.rpcCode }
        : { kind: 'response', id: message.id, outcome: 'error' }
    case 'request':
    case 'notification':
      return classifyServerCall(message, revision)
  }
}

function classifyServerCall(
  message: Extract<ReturnType<typeof parseMessage>, { kind: 'request' | 'notification' }>,
  revision: Revision,
): ServerMessage | ServerMessageRefusal {
  const { method, params } = message
  const id = message.kind === 'request' ? message.id : null
  const row = revision.server.get(method)
  if (row?.kind !== message.kind)
    return { kind: 'refusal', code: 'mcp_method_unlisted', id, rpcCode: -32601, message: 'method not found' }
  const found = findSubject(row.subject, params)
  const refersTo = row.refersTo === undefined ? undefined : params?.[row.refersTo]
  const mode = row.capability === 'elicitation' ? elicitationMode(params?.['mode']) : undefined
  if (found === null || mode === null || (row.refersTo !== undefined && !isRequestId(refersTo))) {
    return {
      kind: 'refusal',
      code: 'mcp_subject_missing',
      id,
      rpcCode: -32602,
      message: 'expected params to name what the message is about',
    }
  }
  if (id !== null) return { kind: 'request', id, method, row, subject: found.subject, mode }
  return { kind: 'notification', method, row, subject: found.subject, refersTo: refersTo as RequestId | undefined }
}

/** `params.mode` of an `elicitation/create`; null for a mode that does not exist. */
export function elicitationMode(mode: JsonValue | undefined): ElicitationMode | null {
  if (mode === undefined) return 'form'
  return mode === 'form' || mode === 'url' ? mode : null
}

/**
 * True when `capabilities` of the client's `initialize` allow the request: the capability is declared,
 * and for `elicitation/create` the mode too (an empty declaration means `form`, 2025-11-25).
 */
export function isCapable(
  capabilities: JsonValue | undefined,
  request: { readonly row: ServerMethod; readonly mode: ElicitationMode | undefined },
): boolean {
  const { capability } = request.row
  if (capability === undefined) return true
  const declared = isJsonObject(capabilities) ? capabilities[capability] : undefined
  if (!isJsonObject(declared)) return false
  if (request.mode === undefined) return true
  return isJsonObject(declared[request.mode]) || (request.mode === 'form' && declared['url'] === undefined)
}
