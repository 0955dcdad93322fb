/** From an HTTP request with an MCP message to what the pipeline decides about. Pure but for the session table. */

import { LEGACY_VERSIONS, mcpAction, partAction } from '@doorward/core'
import type { Classified, ClassifiedRequest, JsonValue, ToolEffect } from '@doorward/core'
import type { TaskOwners } from '../agents/task-owners.ts'
import { deny } from '../denial.ts'
import { contentProblem, isModern, parameterProblem, readMcpMessage, rpcIdOf } from '../mcp-message.ts'
import { ownerOf } from '../owner.ts'
import type { Call, Classifier } from '../classify.ts'
import type { DefinitionGate } from '../definitions/definition-gate.ts'
import type { Denial } from '../denial.ts'
import type { Identified } from '../identify.ts'
import type { RequestHead } from '../inbound.ts'
import type { CallScope } from './call-scope.ts'
import type { CallTrace } from '../call-trace.ts'
import { exactMessage } from '../exact-call.ts'
import type { Handles } from './handles.ts'
import { LoneMessage } from './lone-message.ts'
import { ModernRequest } from './modern-request.ts'
import { restoreNames } from './restored-handles.ts'
import type { RestoredRequest } from './restored-handles.ts'
import { idKey } from './session.ts'
import type { McpSession, SessionTable } from './session.ts'

/** What the forwarder needs of a judged message. */
export interface McpCall {
  readonly scope: CallScope
  /** The legacy session; null for a request of the modern era, which has none, and for what is served outside of sessions. */
  readonly session: McpSession | null
  readonly message: Classified
  /** What leaves instead of the body that was judged: the same, with the server's own names. */
  readonly restored: RestoredRequest | null
  /** True when the session begins with this message. */
  readonly opens: boolean
  readonly head: RequestHead
  readonly trace: CallTrace | null
}

export interface McpCallOptions {
  readonly server: string
  readonly effectOf: (tool: string) => ToolEffect
  /** Of the server; nothing is compared by default. */
  readonly definitions?: DefinitionGate | null | undefined
  readonly sessions: SessionTable
  readonly handles: Handles
  /** Versions of the modern era and others that server and gateway both know, for a head that names the modern era. */
  readonly versions: () => readonly string[]
  /** True when the server has said that it knows no tasks. */
  readonly taskless: () => boolean
  /** True when the server has no sessions, and so no GET or DELETE; `named` when the request names one. */
  readonly sessionless: (named: boolean) => boolean
  /** True when messages of the legacy era are served outside of sessions, each by itself; never by default. */
  readonly alone?: () => boolean
  readonly head: RequestHead
  /** None by default. */
  readonly trace?: CallTrace | null
  readonly bodyBytes: number
  /** Whose the tasks of sessions are, as far as that was seen; their server keeps them apart by default. */
  readonly tasks?: TaskOwners | null | undefined
  /** Called with a session that was opened before the decision, so that a refusal can take it back. */
  readonly onOpened: (session: McpSession) => void
}

/** The classifier of one request to an MCP server. */
export function mcpClassifier(options: McpCallOptions): Classifier<McpCall> {
  return (body, identified) => {
    const { head, sessions, server } = options
    const modern = isModern(head)
    // The modern era has no sessions: an id beside it means nothing.
    const named = modern ? undefined : head.headers['mcp-session-id']
    const session = named === undefined ? null : sessions.find(named, server, ownerOf(identified.principal))
    const wrong = (session === null ? methodProblem(options) : null) ?? contentProblem(head)
    if (wrong !== null) return wrong
    const read = readMcpMessage({
      head,
      body,
      bodyBytes: options.bodyBytes,
      session: session === null || session.version === null ? null : { version: session.version },
      supported: modern ? options.versions() : LEGACY_VERSIONS,
    })
    if ('denied' in read) return read
    const { message, value } = read
    if (named !== undefined && session === null)
      return deny('session_unknown', 'no such session of this caller', rpcIdOf(message))
    if (message.kind === 'request' && message.era === 'modern')
      return modernCallOf({ message, body, value, identified }, options)
    const understood = { message, session, body, value, identified }
    const lone = session === null && options.alone?.() === true ? loneCallOf(understood, options) : null
    return lone ?? callOf(understood, options)
  }
}

interface Understood {
  readonly message: Classified
  readonly session: McpSession | null
  readonly body: Uint8Array
  readonly value: JsonValue | undefined
  readonly identified: Identified
}

function callOf(understood: Understood, options: McpCallOptions): Call<McpCall> | Denial {
  const { message, identified } = understood
  const session = sessionOf(understood, options)
  if ('denied' in session) return session
  const problem =
    pendingProblem(message, session) ??
    resumptionProblem(options.head, session) ??
    taskProblem(message, session, options)
  if (problem !== null) return problem
  session.identified = identified
  const { head, server, effectOf, trace = null } = options
  return {
    action: mcpAction(message, server, (_server, tool) => effectOf(tool)),
    resource: { server, kind: message.subject.kind, name: message.subject.name },
    args: message.kind === 'request' ? message.args : undefined,
    exact: () => exactMessage(understood.body, understood.value),
    rpcId: message.kind === 'request' ? message.id : undefined,
    detail: { scope: session, session, message, restored: null, opens: session.version === null, head, trace },
    objection: options.definitions?.objection(message) ?? null,
  }
}

/** Null for what is nothing outside of a session, or opens one. */
function loneCallOf(
  { message, body, value, identified }: Understood,
  options: McpCallOptions,
): Call<McpCall> | Denial | null {
  if (message.kind === 'response') return deny('response_unexpected', 'nothing is asked outside of a session')
  if (message.kind === 'session-operation') return null
  if (message.kind === 'request' && message.method === 'initialize') return null
  const { server, effectOf, head, trace = null } = options
  const problem = loneTaskProblem(message) ?? (message.kind === 'request' ? parameterProblem(head, message) : null)
  if (problem !== null) return problem
  const { kind, name } = message.subject
  const scope = new LoneMessage({ server, identified, message })
  return {
    action: mcpAction(message, server, (_server, tool) => effectOf(tool)),
    resource: { server, kind, name },
    args: message.kind === 'request' ? message.args : undefined,
    exact: () => exactMessage(body, value),
    ...rpcIdOf(message),
    detail: { scope, session: null, message, restored: null, opens: false, head, trace },
    objection: options.definitions?.objection(message) ?? null,
  }
}

/** The id of a task would say to whoever names it that it is theirs. */
function loneTaskProblem(message: Classified): Denial | null {
  if (message.kind !== 'request') return null
  const rpcId = rpcIdOf(message)
  if (message.method.startsWith('tasks/'))
    return deny('method_unknown', 'no tasks outside of a session', { ...rpcId, http: 200 })
  return message.asTask ? deny('request_invalid', 'no tasks outside of a session', rpcId) : null
}

interface UnderstoodRequest {
  readonly message: ClassifiedRequest
  readonly body: Uint8Array
  readonly value: JsonValue | undefined
  readonly identified: Identified
}

function modernCallOf(
  { message, body, value, identified }: UnderstoodRequest,
  options: McpCallOptions,
): Call<McpCall> | Denial {
  const { head, server, effectOf, handles, trace = null } = options
  const owner = ownerOf(identified.principal)
  const wrong = parameterProblem(head, message)
  if (wrong !== null) return wrong
  const names = restoreNames({ body, value, message, handles, server, owner, taskless: options.taskless() })
  if ('denied' in names) return names
  const own = names.subject === message.subject ? message : { ...message, subject: names.subject }
  const { kind, name } = own.subject
  const scope = new ModernRequest({ server, identified, message: own, handles: names.handles })
  const parts = names.parts.map((part) => ({ action: partAction(message), resource: { server, ...part } }))
  return {
    action: mcpAction(own, server, (_server, tool) => effectOf(tool)),
    resource: { server, kind, name },
    ...(parts.length === 0 ? {} : { parts }),
    args: message.args,
    exact: () => exactMessage(body, value),
    rpcId: message.id,
    detail: { scope, session: null, message: own, restored: names.restored, opens: false, head, trace },
    objection: options.definitions?.objection(own) ?? null,
  }
}

/** The request whose answer lasts until somebody ends it. */
const LISTEN = 'subscriptions/listen'

/** True when the answer lasts: the stream of a session, or that of a request to listen. */
export function lasts(message: Classified): boolean {
  return message.kind === 'session-operation' || (message.kind === 'request' && message.method === LISTEN)
}

/** The session that the message belongs to; `initialize` opens one. */
function sessionOf({ message, session, value, identified }: Understood, options: McpCallOptions): McpSession | Denial {
  const opening = message.kind === 'request' && message.method === 'initialize'
  if (session !== null) {
    if (!opening) return session
    return deny('request_invalid', 'the session is initialized already', { ...rpcIdOf(message), rpc: -32600 })
  }
  if (!opening) return deny('session_missing', 'no Mcp-Session-Id header', rpcIdOf(message))
  const opened = options.sessions.open(options.server, identified)
  if (opened === null) return deny('session_limit', 'no session of this caller is idle', rpcIdOf(message))
  opened.clientCapabilities = capabilitiesOf(value)
  options.onOpened(opened)
  return opened
}

function capabilitiesOf(value: JsonValue | undefined): JsonValue | undefined {
  const { params } = value as { readonly params?: { readonly capabilities?: JsonValue } }
  return params?.capabilities
}

/** What a message says about other exchanges must be true of this session. */
function pendingProblem(message: Classified, session: McpSession): Denial | null {
  if (message.kind === 'response' && !session.toClient.has(idKey(message.id))) {
    return deny('response_unexpected', 'no request of the server with this id is pending on the session')
  }
  if (message.kind === 'request' && session.toServer.has(idKey(message.id))) {
    return deny('request_invalid', 'a request with this id is pending already', { ...rpcIdOf(message), rpc: -32600 })
  }
  if (message.kind === 'session-operation' && message.operation === 'stream' && !session.mayStream()) {
    return deny('stream_limit', 'the session has as many streams open as it may')
  }
  return null
}

/** To whoever has not begun it there is no such task. */
function taskProblem(message: Classified, { owner }: McpSession, { tasks = null }: McpCallOptions): Denial | null {
  if (tasks === null || message.kind !== 'request' || message.subject.kind !== 'task') return null
  if (tasks.ownerOf('task', message.subject.name) === owner) return null
  return deny('handle_unknown', 'a task that this caller has not begun', rpcIdOf(message))
}

/** Which answer an event id belongs to only the server knows. */
function resumptionProblem({ method, headers }: RequestHead, session: McpSession): Denial | null {
  const resumed = headers['last-event-id']
  if (resumed !== undefined && session.events.idOf(resumed) === null)
    return deny('request_invalid', 'the Last-Event-ID is a name of ours that is not known any more')
  if (method !== 'GET' || resumed === undefined || !session.withholds) return null
  return deny('stream_withheld', 'an answer of the session is not allowed any more, and its streams are not resumed')
}

/** What is no POST is about a session (2026-07-28 basic/transports: 405 where there are none). */
function methodProblem({ head, sessionless }: McpCallOptions): Denial | null {
  if (head.method === 'POST' || !sessionless(head.headers['mcp-session-id'] !== undefined)) return null
  return deny('http_method', `expected POST, got ${head.method}: the server has no sessions`)
}
