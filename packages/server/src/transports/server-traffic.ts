/**
 * What a server sends, judged before its client may see it: answers only to what waits, lists filtered by the decision
 * that a call would meet, requests only of kinds that the client has declared. Bytes that pass are not changed.
 */

import {
  classifyServerMessage,
  errorBody,
  filterListResult,
  isCapable,
  isJsonObject,
  legacyRevision,
  LIST_LIMITS,
  negotiatedVersion,
  REVISIONS,
  scanJson,
  SUPPORTED_VERSIONS,
} from '@doorward/core'
import type { JsonValue, McpSubject, RequestId, Revision, ServerMessage, ToolEffect } from '@doorward/core'
import { couldCall, denialRow, rolesNow } from '@doorward/enforcement'
import type { DecisionPort, DenialCode, TrustSource } from '@doorward/enforcement'
import { idKey } from './session.ts'
import type { McpSession, PendingRequest } from './session.ts'

export interface TrafficOptions {
  readonly decisions: DecisionPort
  readonly trust: TrustSource
  readonly effectOf: (tool: string) => ToolEffect
  /** Bytes of one message; 4 MiB by default. */
  readonly messageBytes?: number
  /** What was dropped, for the operator. */
  readonly onDropped: (session: McpSession, reason: string) => void
}

export type ServerTraffic =
  | {
      readonly kind: 'pass'
      readonly bytes: Uint8Array
      readonly message: ServerMessage
      /** The request that the message answers. */
      readonly answers: PendingRequest | null
      /** Set when the answer was replaced by an error. */
      readonly failure: DenialCode | null
    }
  | {
      readonly kind: 'drop'
      /** What the server must be told about a request that does not reach the client. */
      readonly reply: Uint8Array | null
      /** It was meant as a message, perhaps as the answer that somebody waits for. */
      readonly spoilt: boolean
    }

const DROPPED = { kind: 'drop', reply: null, spoilt: false } as const satisfies ServerTraffic
const newestLegacy = REVISIONS.get(SUPPORTED_VERSIONS[0] ?? '')

/** Judges one message of the server of a session. Pending requests that it answers are taken off the session. */
export function judgeTraffic(
  bytes: Uint8Array,
  session: McpSession,
  options: TrafficOptions,
): ServerTraffic | Promise<ServerTraffic> {
  const scan = scanJson(bytes, { ...LIST_LIMITS, maxBytes: options.messageBytes ?? LIST_LIMITS.maxBytes })
  if (!scan.ok) return { ...dropped(session, options, `not a message: ${scan.code}`), spoilt: looksLikeObject(bytes) }
  const message = classifyServerMessage(scan.value, revisionOf(session))
  switch (message.kind) {
    case 'refusal':
      options.onDropped(session, `refused: ${message.code}`)
      return {
        kind: 'drop',
        reply: message.id === null ? null : errorBody(message.id, message.rpcCode, message.message),
        spoilt: namesWaiting(scan.value, session),
      }
    case 'unaddressed-error':
      return pass(bytes, message)
    case 'notification':
      return judgeNotification(bytes, message, session, options)
    case 'request':
      return judgeRequest(bytes, message, session, options)
    case 'response':
      return judgeResponse(bytes, message, { session, options, value: scan.value })
  }
}

/** Servers print other things too; what begins as an object was meant for the client. */
function looksLikeObject(bytes: Uint8Array): boolean {
  return bytes.find((byte) => byte !== 0x20 && byte !== 0x09) === 0x7b
}

/** An answer to something that waits, but not a well-formed one. */
function namesWaiting(value: JsonValue, session: McpSession): boolean {
  if (!isJsonObject(value) || value['method'] !== undefined) return false
  const id = value['id']
  return (typeof id === 'string' || typeof id === 'number') && session.toServer.has(idKey(id))
}

/** Before the handshake ends only the methods of the newest legacy revision can be meant. */
function revisionOf(session: McpSession): Revision {
  const settled = session.version === null ? undefined : legacyRevision(session.version, SUPPORTED_VERSIONS)
  const revision = settled ?? newestLegacy
  if (revision === undefined) throw new TypeError('no legacy revision is known')
  return revision
}

function pass(
  bytes: Uint8Array,
  message: ServerMessage,
  answers: PendingRequest | null = null,
  failure: DenialCode | null = null,
): ServerTraffic {
  return { kind: 'pass', bytes, message, answers, failure }
}

function dropped(session: McpSession, options: TrafficOptions, reason: string): typeof DROPPED {
  options.onDropped(session, reason)
  return DROPPED
}

function judgeNotification(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'notification' }>,
  session: McpSession,
  options: TrafficOptions,
): ServerTraffic | Promise<ServerTraffic> {
  // The client need not answer what the server has cancelled.
  if (message.method === 'notifications/cancelled' && message.refersTo !== undefined)
    session.toClient.delete(idKey(message.refersTo))
  if (message.method === 'notifications/progress' && message.refersTo !== undefined)
    if (session.isWithheld(message.refersTo))
      return dropped(session, options, 'progress of what is not allowed any more')
  // Other notifications name nothing that policy protects.
  if (message.subject.kind === 'server') return pass(bytes, message)
  return mayKnow(message.subject, session, options).then((may) => (may ? pass(bytes, message) : DROPPED))
}

function judgeRequest(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'request' }>,
  session: McpSession,
  options: TrafficOptions,
): ServerTraffic {
  if (!isCapable(session.clientCapabilities, message)) {
    options.onDropped(session, `the client has not declared what ${message.method} needs`)
    return {
      kind: 'drop',
      reply: errorBody(message.id, -32601, 'the client has not declared this capability'),
      spoilt: false,
    }
  }
  if (session.asked(message.id)) return pass(bytes, message)
  options.onDropped(session, 'too many requests of the server wait')
  return {
    kind: 'drop',
    reply: errorBody(message.id, -32603, 'too many requests wait for an answer'),
    spoilt: false,
  }
}

interface ResponseContext {
  readonly session: McpSession
  readonly options: TrafficOptions
  readonly value: JsonValue
}

function judgeResponse(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'response' }>,
  { session, options, value }: ResponseContext,
): ServerTraffic | Promise<ServerTraffic> {
  const request = session.answered(message.id)
  if (request === null) return dropped(session, options, 'an answer that nobody waits for')
  if (message.outcome === 'error') return pass(bytes, message, request)
  if (request.method === 'initialize') return settle(bytes, message, request, { session, options, value })
  if (!listMethods.has(request.method)) return pass(bytes, message, request)
  return filterList(bytes, request, session, options).then((filtered) =>
    filtered === null ? failed(message, request, 'upstream_invalid') : pass(filtered, message, request),
  )
}

const listMethods: ReadonlySet<string> = new Set(
  [...REVISIONS.values()].flatMap((revision) =>
    [...revision.client.values()].filter((row) => row.list !== undefined).map((row) => row.method),
  ),
)

/** The handshake's end: without a version that we understand nothing later could be judged. */
function settle(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'response' }>,
  request: PendingRequest,
  { session, options, value }: ResponseContext,
): ServerTraffic {
  const result = isJsonObject(value) ? value['result'] : undefined
  const version = result === undefined ? null : negotiatedVersion(result, SUPPORTED_VERSIONS)
  if (version === null) {
    options.onDropped(session, 'the server answered initialize with a version that is not supported')
    return failed(message, request, 'upstream_invalid')
  }
  session.version = version
  return pass(bytes, message, request)
}

function failed(message: ServerMessage, request: PendingRequest, code: DenialCode): ServerTraffic {
  const { rpc, text } = denialRow(code)
  return pass(errorBody(request.id, rpc, text, { code }), message, request, code)
}

/** The list without what the caller may not use; null when it cannot be read without doubt. */
async function filterList(
  bytes: Uint8Array,
  request: PendingRequest,
  session: McpSession,
  options: TrafficOptions,
): Promise<Uint8Array | null> {
  const subjects: McpSubject[] = []
  const first = filterListResult(bytes, request.method, (subject) => subjects.push(subject) > 0)
  if (!first.ok) {
    options.onDropped(session, `a list that cannot be read: ${first.message}`)
    return null
  }
  const verdicts = await Promise.all(subjects.map((subject) => mayKnow(subject, session, options)))
  if (verdicts.every(Boolean)) return first.bytes
  let at = 0
  const second = filterListResult(bytes, request.method, () => verdicts[at++] === true)
  return second.ok ? second.bytes : null
}

/** True when some call of the subject could be allowed: the same question that the call itself will meet. */
function mayKnow(subject: McpSubject, session: McpSession, options: TrafficOptions): Promise<boolean> {
  const { kind, name } = subject
  const action =
    kind === 'tool'
      ? { name: 'tools/call', group: options.effectOf(name) }
      : ({ name: useOf[kind], group: kind === 'server' ? 'session' : 'read' } as const)
  return couldCall(
    rolesNow(session.identified, options.trust.current()),
    { action, resource: { server: session.server, kind, name } },
    options.decisions,
    options.trust.now(),
  )
}

const useOf = { prompt: 'prompts/get', resource: 'resources/read', task: 'tasks/get', server: 'ping' } as const

/** The token or id by which a notification belongs to one request of the client. */
export function refersTo(message: ServerMessage): RequestId | undefined {
  return message.kind === 'notification' ? message.refersTo : undefined
}
