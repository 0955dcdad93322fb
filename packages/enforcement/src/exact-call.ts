/** Everything that a request asks for, as one text: what an approval of it is bound to, and what of it people are shown. */

import { createHash } from 'node:crypto'
import { exactJson, fromUtf8, isJsonObject, scanJson } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import type { ExactCall } from './classify.ts'
import type { RequestHead } from './inbound.ts'

/** Members of `params._meta` that name or trace the exchange and are another each time. */
const carriers: ReadonlySet<string> = new Set(['progressToken', 'traceparent', 'tracestate', 'baggage'])

function isEnvelope([first, ...rest]: readonly string[]): boolean {
  return rest.length === 0 && (first === 'id' || first === 'jsonrpc')
}

function namesExchange(path: readonly string[]): boolean {
  const [first, second, third = ''] = path
  if (isEnvelope(path)) return true
  return path.length === 3 && first === 'params' && second === '_meta' && carriers.has(third)
}

/** Of an MCP message whose body has passed `scanJson`. */
export function exactMessage(body: Uint8Array, value: JsonValue | undefined): ExactCall {
  const params = isJsonObject(value) ? value['params'] : undefined
  return { text: exactJson(body, namesExchange), shown: params === undefined ? {} : withoutMeta(params) }
}

/** Of JSON-RPC where nothing is known of params: no member of them is said of the exchange alone. */
export function exactRpc(body: Uint8Array, value: JsonValue): ExactCall {
  const params = isJsonObject(value) ? value['params'] : undefined
  return { text: exactJson(body, isEnvelope), shown: params ?? {} }
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * Of a message to an agent. Clients make a new id for each that they send: a UUID says nothing that anybody could approve, or an
 * agent obey. Every other form of it might, and counts as it is written.
 */
export function exactAgentMessage(body: Uint8Array, value: JsonValue): ExactCall {
  const { text, shown } = exactRpc(body, value)
  const message = isJsonObject(shown) ? shown['message'] : undefined
  if (!isJsonObject(shown) || !isJsonObject(message)) return { text, shown }
  const { messageId, ...said } = message
  if (typeof messageId !== 'string' || !UUID.test(messageId)) return { text, shown }
  return { text: exactJson(body, (path) => isEnvelope(path) || isMessageId(path)), shown: { ...shown, message: said } }
}

function isMessageId(path: readonly string[]): boolean {
  return path.length === 3 && path[0] === 'params' && path[1] === 'message' && path[2] === 'messageId'
}

/** What is said of the exchange is nothing that people approve; all else is shown. */
function withoutMeta(params: JsonValue): JsonValue {
  if (!isJsonObject(params) || !isJsonObject(params['_meta'])) return params
  const { _meta, ...rest } = params
  const kept = Object.entries(_meta).filter(([name]) => !carriers.has(name) && !name.startsWith(PROTOCOL))
  return kept.length === 0 ? rest : { ...rest, _meta: Object.fromEntries(kept) }
}

const PROTOCOL = 'io.modelcontextprotocol/'

/** Headers that say who and how somebody asks, and never what for. */
const ofExchange: ReadonlySet<string> = new Set([
  'accept-encoding',
  'authorization',
  'baggage',
  'connection',
  'content-length',
  'host',
  'traceparent',
  'tracestate',
  'user-agent',
])

/** Of a request to a plain HTTP service. */
export function exactRequest({ method, headers, query }: RequestHead, path: string, body: Uint8Array): ExactCall {
  const said = Object.entries(headers).filter(([name]) => !ofExchange.has(name))
  const digest = createHash('sha256').update(body).digest('hex')
  const sorted = said.toSorted(([a], [b]) => (a < b ? -1 : 1))
  const shown = { path, query, headers: Object.fromEntries(sorted.map(([name, text = '']) => [name, text])) }
  return {
    text: JSON.stringify([method, path, query, sorted, digest]),
    shown: body.length === 0 ? shown : { ...shown, body: bodyShown(body), body_sha256: digest },
  }
}

const limits = { maxBytes: 1024 * 1024, maxDepth: 32, maxKeys: 10_000 }

function bodyShown(body: Uint8Array): JsonValue {
  const scan = scanJson(body, limits)
  if (scan.ok) return scan.value
  try {
    return fromUtf8(body)
  } catch {
    return `${body.length} bytes that are no text`
  }
}
