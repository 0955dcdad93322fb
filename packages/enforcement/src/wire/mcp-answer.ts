/** An MCP server's answer as its caller is told it, wherever the server is: one message as a whole, or events with one each. */

import { errorBody, parseMessage, scanJson } from '@doorward/core'
import type { McpMessage, RequestId } from '@doorward/core'
import { denialRow } from '../denial.ts'
import type { DenialCode } from '../denial.ts'
import type { CallScope } from '../mcp/call-scope.ts'
import type { McpCall } from '../mcp/mcp-call.ts'
import { obligedError } from '../mcp/output-obligations.ts'
import { judgeTraffic } from '../mcp/server-traffic.ts'
import type { ServerTraffic, TrafficOptions } from '../mcp/server-traffic.ts'
import { messageEvent, withData, withoutData } from './sse.ts'
import type { SseEvent } from './sse.ts'

export interface AnswerReading {
  readonly call: Pick<McpCall, 'message' | 'head'>
  readonly scope: CallScope
  readonly traffic: TrafficOptions
  /** The server has said that it speaks the era of the request. */
  readonly eraKnown: boolean
  /** The answer told the caller of a failure in a message of its own. */
  readonly note: (code: DenialCode) => void
  /** Known secrets were taken out of so many texts. */
  readonly redacted: (count: number) => void
  /** What the server must be told about a request that does not reach the client. */
  readonly refuseToServer: (message: Uint8Array) => void
}

/** One message of the server. */
async function judgedMessage(data: Uint8Array, reading: AnswerReading): Promise<ServerTraffic> {
  const { scope, traffic: options, note, redacted, refuseToServer } = reading
  const traffic = await judgeTraffic(data, scope, options)
  if (traffic.kind === 'drop' && traffic.reply !== null) refuseToServer(traffic.reply)
  if (traffic.kind === 'pass' && traffic.failure !== null) note(traffic.failure)
  if (traffic.kind === 'pass' && traffic.redacted > 0) redacted(traffic.redacted)
  return traffic
}

/** What of an event goes on; null where nothing does. */
export async function judgedEvent(event: SseEvent, reading: AnswerReading): Promise<Uint8Array | null> {
  if (event.data === null || event.data.length === 0) return event.raw
  const traffic = await judgedMessage(event.data, reading)
  if (traffic.kind === 'drop') return withoutData(event)
  return traffic.bytes === event.data ? event.raw : withData(event, traffic.bytes)
}

const LISTEN = 'subscriptions/listen'

/** A legacy stream may be taken up again; a modern one is all that its caller gets, and may not end in silence. */
export function lastEvent({ call: { message }, scope, note }: AnswerReading): Uint8Array | null {
  if (scope.revision.era !== 'modern' || message.kind !== 'request' || message.method === LISTEN) return null
  if (!scope.waits(message.id)) return null
  const { rpc, text } = denialRow('upstream_invalid')
  note('upstream_invalid')
  return messageEvent(errorBody(message.id, rpc, text, { code: 'upstream_invalid' }))
}

export interface WholeAnswer {
  readonly status: number
  /** By its `Content-Type`. */
  readonly isJson: boolean
  readonly body: Uint8Array
}

export type ToldAnswer =
  /** `error` is the code of the server's own error, where it is one. */
  | { readonly kind: 'json'; readonly status: number; readonly body: Uint8Array; readonly error?: number }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'failed'; readonly code: DenialCode; readonly explanation: string }

/** What of an answer that is no stream its caller is told. The request waits no longer. */
export async function wholeAnswer(answer: WholeAnswer, reading: AnswerReading): Promise<ToldAnswer> {
  const { message } = reading.call
  if (answer.status === 200 && message.kind === 'request') return answerJson(answer, reading)
  if (message.kind === 'request') reading.scope.answered(message.id)
  return answer.status >= 200 && answer.status < 300 ? answerStatus(answer, reading) : relayedError(answer, reading)
}

const invalid = (explanation: string): ToldAnswer => ({ kind: 'failed', code: 'upstream_invalid', explanation })

async function answerJson({ isJson, body }: WholeAnswer, reading: AnswerReading): Promise<ToldAnswer> {
  const traffic = isJson ? await judgedMessage(body, reading) : null
  if (traffic?.kind !== 'pass' || traffic.message.kind === 'request' || traffic.message.kind === 'notification')
    return invalid('the server answered with something else than the answer')
  if (traffic.message.kind === 'response' && traffic.message.id !== requestId(reading))
    return invalid('the server answered another request')
  return { kind: 'json', status: 200, body: traffic.bytes }
}

function answerStatus({ status }: WholeAnswer, { call: { message, head } }: AnswerReading): ToldAnswer {
  if (message.kind === 'request' || head.method === 'GET')
    return invalid(`the server answered ${status} without an answer`)
  return { kind: 'status', status: head.method === 'DELETE' ? 200 : 202 }
}

/** Statuses whose meaning is between us and the server: credentials and redirects are never the caller's business. */
const NOT_RELAYED: ReadonlySet<number> = new Set([401, 407])
const MUST_NAME_ID = new Set([400, 404, 405])

/** An error of the server's is its own affair, and the caller's: status and JSON-RPC error, none of the headers. */
function relayedError({ status, isJson, body }: WholeAnswer, reading: AnswerReading): ToldAnswer {
  if (status < 400 || NOT_RELAYED.has(status)) return invalid(`the server answered ${status}`)
  const { scope, traffic, eraKnown, redacted } = reading
  const error = isJson ? rpcErrorOf(body) : null
  // A modern client takes an error without its id for a sign of the legacy era (reference mcp.md §3).
  if (eraKnown && scope.revision.era === 'modern' && error?.id !== requestId(reading) && MUST_NAME_ID.has(status))
    return invalid(`the server answered ${status} without an answer`)
  if (error === null) return { kind: 'status', status }
  const { bytes, count } = obligedError(body, traffic.output ?? null)
  if (count > 0) redacted(count)
  return { kind: 'json', status, body: bytes, error: error.rpcCode }
}

function requestId({ call: { message } }: AnswerReading): RequestId | null {
  return message.kind === 'request' ? message.id : null
}

function rpcErrorOf(body: Uint8Array): Extract<McpMessage, { kind: 'error' }> | null {
  const scan = scanJson(body)
  const message = scan.ok ? parseMessage(scan.value) : null
  return message?.kind === 'error' ? message : null
}
