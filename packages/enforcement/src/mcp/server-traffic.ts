/**
 * What a server sends, judged before its client may see it: answers only to what waits, lists filtered by the decision
 * that a call would meet, requests only of kinds that the client has declared. Bytes that pass are not changed.
 */

import type { TaskOwners } from '../agents/task-owners.ts'
import {
  classifyServerMessage,
  errorBody,
  isCapable,
  isJsonObject,
  LEGACY_VERSIONS,
  LIST_LIMITS,
  member,
  negotiatedVersion,
  REVISIONS,
  scanJson,
  withoutSecretTexts,
} from '@doorward/core'
import type { JsonValue, RequestId, ServerMessage, ToolEffect } from '@doorward/core'
import { denialRow } from '../denial.ts'
import { filteredList, mayKnow } from '../mcp-list.ts'
import type { DefinitionGate } from '../definitions/definition-gate.ts'
import type { DenialCode } from '../denial.ts'
import type { Identified } from '../identify.ts'
import type { ListReader } from '../mcp-list.ts'
import type { DecisionPort, TrustSource } from '../ports.ts'
import type { CallScope, PendingRequest } from './call-scope.ts'
import { withoutDeniedCapabilities } from './denied-capabilities.ts'
import { judgeModernAnswer, withTaskHandles } from './modern-answer.ts'
import { isTooLarge, structureProblem, taskBegun, toldTaskProblem, toolFailure } from './output-obligations.ts'
import type { OutputObligations } from './output-obligations.ts'

export interface TrafficOptions {
  readonly decisions: DecisionPort
  readonly trust: TrustSource
  readonly effectOf: (tool: string) => ToolEffect
  /** The effects that some tool of the server may have; all by default. */
  readonly effects?: readonly ToolEffect[]
  /** What is approved of the server; nothing is compared by default. */
  readonly definitions?: DefinitionGate | null
  /** What is demanded of its answers; nothing by default. */
  readonly output?: OutputObligations | null
  /** Whose the tasks of sessions are, as far as that was seen; their server keeps them apart by default. */
  readonly tasks?: TaskOwners | null
  /** Bytes of one message; 4 MiB by default. */
  readonly messageBytes?: number
  /** What was dropped, for the operator. */
  readonly onDropped: (scope: CallScope, reason: string) => void
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
      /** Texts of which known secrets were taken. */
      readonly redacted: number
    }
  | {
      readonly kind: 'drop'
      /** What the server must be told about a request that does not reach the client. */
      readonly reply: Uint8Array | null
      /** It was meant as a message, perhaps as the answer that somebody waits for. */
      readonly spoilt: boolean
    }

const DROPPED = { kind: 'drop', reply: null, spoilt: false } as const satisfies ServerTraffic

/** Judges one message of a server. The request that it answers waits no longer. */
export function judgeTraffic(
  bytes: Uint8Array,
  scope: CallScope,
  options: TrafficOptions,
): ServerTraffic | Promise<ServerTraffic> {
  const scan = scanJson(bytes, { ...LIST_LIMITS, maxBytes: options.messageBytes ?? LIST_LIMITS.maxBytes })
  if (!scan.ok) return { ...dropped(scope, options, `not a message: ${scan.code}`), spoilt: looksLikeObject(bytes) }
  if (options.output?.redact !== true) return judgeMessage(bytes, scan.value, scope, options)
  const { bytes: told, count } = withoutSecretTexts(bytes, scan.value, options.output.withoutKnown)
  const judged = judgeMessage(told, scan.value, scope, options)
  if (count === 0) return judged
  const counted = (one: ServerTraffic) => (one.kind === 'pass' ? { ...one, redacted: count } : one)
  return judged instanceof Promise ? judged.then(counted) : counted(judged)
}

/** `value` is what the server says, `bytes` what of it may go on. */
function judgeMessage(
  bytes: Uint8Array,
  value: JsonValue,
  scope: CallScope,
  options: TrafficOptions,
): ServerTraffic | Promise<ServerTraffic> {
  const message = classifyServerMessage(value, scope.revision)
  if ((message.kind === 'notification' || message.kind === 'request') && isTooLarge(bytes, options.output ?? null)) {
    options.onDropped(scope, `${message.method} is larger than its bound`)
    const reply = message.kind === 'request' ? errorBody(message.id, -32603, 'the request is too large') : null
    return { kind: 'drop', reply, spoilt: false }
  }
  switch (message.kind) {
    case 'refusal':
      options.onDropped(scope, `refused: ${message.code}`)
      return {
        kind: 'drop',
        reply: message.id === null ? null : errorBody(message.id, message.rpcCode, message.message),
        spoilt: namesWaiting(value, scope),
      }
    case 'unaddressed-error':
      return pass(bytes, message)
    case 'notification':
      return judgeNotification(bytes, message, { scope, options, value })
    case 'request':
      return judgeRequest(bytes, message, scope, options)
    case 'response':
      return judgeResponse(bytes, message, { scope, options, value })
  }
}

/** Servers print other things too; what begins as an object was meant for the client. */
export function looksLikeObject(bytes: Uint8Array): boolean {
  return bytes.find((byte) => byte !== 0x20 && byte !== 0x09) === 0x7b
}

/** An answer to something that waits, but not a well-formed one. */
function namesWaiting(value: JsonValue, scope: CallScope): boolean {
  if (!isJsonObject(value) || value['method'] !== undefined) return false
  const id = value['id']
  return (typeof id === 'string' || typeof id === 'number') && scope.waits(id)
}

function pass(
  bytes: Uint8Array,
  message: ServerMessage,
  answers: PendingRequest | null = null,
  failure: DenialCode | null = null,
): ServerTraffic {
  return { kind: 'pass', bytes, message, answers, failure, redacted: 0 }
}

function dropped(scope: CallScope, options: TrafficOptions, reason: string): typeof DROPPED {
  options.onDropped(scope, reason)
  return DROPPED
}

function judgeNotification(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'notification' }>,
  { scope, options, value }: Judging,
): ServerTraffic | Promise<ServerTraffic> {
  // The client need not answer what the server has cancelled.
  if (message.method === 'notifications/cancelled' && message.refersTo !== undefined) scope.unasked(message.refersTo)
  if (message.method === 'notifications/progress' && message.refersTo !== undefined)
    if (scope.isWithheld(message.refersTo)) return dropped(scope, options, 'progress of what is not allowed any more')
  options.definitions?.notified(message.method)
  if (message.subject.kind === 'task') {
    const { output = null, definitions = null } = options
    if (!isOwnTask(message.subject.name, scope, options)) return dropped(scope, options, 'of a task of somebody else')
    const of = { definitions, owner: scope.owner, taskId: message.subject.name }
    const problem = toldTaskProblem(output, of, isJsonObject(value) ? value['params'] : undefined)
    if (problem !== null) return dropped(scope, options, `of a task: ${problem}`)
  }
  // Other notifications name nothing that policy protects.
  const told = scope.handles === null ? bytes : withTaskHandles(bytes, message, scope.handles)
  if (message.subject.kind === 'server') return pass(told, message)
  return mayKnow(message.subject, readerOf(scope.identified, { scope, options })).then((may) =>
    may ? pass(told, message) : DROPPED,
  )
}

function judgeRequest(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'request' }>,
  scope: CallScope,
  options: TrafficOptions,
): ServerTraffic {
  if (!isCapable(scope.clientCapabilities, message)) {
    options.onDropped(scope, `the client has not declared what ${message.method} needs`)
    return {
      kind: 'drop',
      reply: errorBody(message.id, -32601, 'the client has not declared this capability'),
      spoilt: false,
    }
  }
  if (scope.asked(message.id)) return pass(bytes, message)
  options.onDropped(scope, 'too many requests of the server wait')
  return {
    kind: 'drop',
    reply: errorBody(message.id, -32603, 'too many requests wait for an answer'),
    spoilt: false,
  }
}

/** What a message is judged with. */
interface Judging {
  readonly scope: CallScope
  readonly options: TrafficOptions
  readonly value: JsonValue
}

function judgeResponse(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'response' }>,
  { scope, options, value }: Judging,
): ServerTraffic | Promise<ServerTraffic> {
  const request = scope.answered(message.id)
  if (request === null) return dropped(scope, options, 'an answer that nobody waits for')
  const { output = null, definitions = null } = options
  if (isTooLarge(bytes, output)) return obliged(message, request, 'output_too_large', scope)
  if (message.outcome === 'error') return pass(bytes, message, request)
  const problem = structureProblem({ output, definitions, request, owner: scope.owner, value })
  if (problem !== null) {
    options.onDropped(scope, `an answer of ${JSON.stringify(request.subject.slice(0, 128))}: ${problem}`)
    return obliged(message, request, 'output_invalid', scope)
  }
  if (!taskNoted(resultOf(value), scope, options)) {
    options.onDropped(scope, 'a task that is somebody else’s already')
    return failed(message, request, 'upstream_invalid')
  }
  if (request.method === 'initialize') return settle(bytes, message, request, { scope, options, value })
  const judge = (result: Uint8Array) => judgeResult(result, message, request, { scope, options, value })
  if (!listMethods.has(request.method)) return judge(bytes)
  const seen = options.definitions?.see(request.method, resultOf(value)) ?? null
  const own = request.method === 'tasks/list' ? ownTasks(resultOf(value), scope, options) : null
  const approved = own ?? seen
  return filterList(bytes, request, { scope, options, approved }).then((filtered) =>
    filtered === null ? failed(message, request, 'upstream_invalid') : judge(filtered),
  )
}

/** Tasks of the modern era have names with a proof: those of sessions are kept apart here. */
function isOwnTask(taskId: string, { revision, owner }: CallScope, { tasks = null }: TrafficOptions): boolean {
  return tasks === null || revision.era === 'modern' || tasks.ownerOf('task', taskId) === owner
}

/** False for a task that is another caller's. */
function taskNoted(result: JsonValue | undefined, scope: CallScope, { tasks = null }: TrafficOptions): boolean {
  if (tasks === null || scope.revision.era === 'modern' || !isJsonObject(result)) return true
  const taskId = taskBegun(result)
  if (taskId === null) return true
  if ((tasks.ownerOf('task', taskId) ?? scope.owner) !== scope.owner) return false
  tasks.note('task', taskId, scope.owner)
  return true
}

/** By item of a list of tasks, whether it is its reader's; null where their server keeps them apart. */
function ownTasks(result: JsonValue | undefined, scope: CallScope, options: TrafficOptions): readonly boolean[] | null {
  if ((options.tasks ?? null) === null) return null
  const listed = isJsonObject(result) ? member(result, 'tasks') : undefined
  if (!Array.isArray(listed)) return []
  return listed.map((one: JsonValue) => {
    const taskId = isJsonObject(one) ? member(one, 'taskId') : undefined
    return typeof taskId === 'string' && isOwnTask(taskId, scope, options)
  })
}

/** Of the modern era, where a result says more than its value. */
function judgeResult(
  bytes: Uint8Array,
  message: Extract<ServerMessage, { kind: 'response' }>,
  request: PendingRequest,
  { scope, options, value }: Judging,
): ServerTraffic | Promise<ServerTraffic> {
  if (scope.revision.era === 'legacy') return pass(bytes, message, request)
  if (
    request.method === 'server/discover' &&
    options.definitions?.see(request.method, resultOf(value))?.includes(false) === true
  )
    return failed(message, request, 'definition_unapproved')
  const judged = judgeModernAnswer(bytes, value, request.method, scope)
  if ('problem' in judged) {
    options.onDropped(scope, judged.problem)
    return failed(message, request, 'upstream_invalid')
  }
  if (request.method !== 'server/discover') return pass(judged, message, request)
  const { identified } = request
  const declaring = { result: resultOf(value), revision: scope.revision, scope, identified, options }
  return withoutDeniedCapabilities(judged, declaring).then((told) =>
    told === null ? failed(message, request, 'upstream_invalid') : pass(told, message, request),
  )
}

function resultOf(value: JsonValue): JsonValue | undefined {
  return isJsonObject(value) ? value['result'] : undefined
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
  { scope, options, value }: Judging,
): ServerTraffic | Promise<ServerTraffic> {
  const result = resultOf(value)
  const version = result === undefined ? null : negotiatedVersion(result, LEGACY_VERSIONS)
  if (version === null) {
    options.onDropped(scope, 'the server answered initialize with a version that is not supported')
    return failed(message, request, 'upstream_invalid')
  }
  if (options.definitions?.see(request.method, result)?.includes(false) === true)
    return failed(message, request, 'definition_unapproved')
  const revision = REVISIONS.get(version) ?? scope.revision
  return withoutDeniedCapabilities(bytes, { result, revision, scope, identified: request.identified, options }).then(
    (told) => {
      if (told === null) return failed(message, request, 'upstream_invalid')
      scope.settle(version)
      return pass(told, message, request)
    },
  )
}

function failed(message: ServerMessage, request: PendingRequest, code: DenialCode): ServerTraffic {
  const { rpc, text } = denialRow(code)
  return pass(errorBody(request.id, rpc, text, { code }), message, request, code)
}

/** As `failed`, for what the operator demands: the model of whoever has called a tool reads why. */
function obliged(message: ServerMessage, request: PendingRequest, code: DenialCode, scope: CallScope): ServerTraffic {
  if (request.method !== 'tools/call' && request.method !== 'tasks/result') return failed(message, request, code)
  return pass(toolFailure(request.id, code, scope.revision), message, request, code)
}

interface Filtering {
  readonly scope: CallScope
  readonly options: TrafficOptions
  /** By item, whether it is as an operator has approved it; null where nothing is compared. */
  readonly approved: readonly boolean[] | null
}

/** The list without what the caller may not use, and what nobody may; null when it cannot be read without doubt. */
async function filterList(
  bytes: Uint8Array,
  request: PendingRequest,
  { scope, options, approved }: Filtering,
): Promise<Uint8Array | null> {
  const filtered = await filteredList(bytes, request.method, {
    ...readerOf(request.identified, { scope, options }),
    approved,
  })
  if (!('problem' in filtered)) return filtered
  options.onDropped(scope, `a list that cannot be read: ${filtered.problem}`)
  return null
}

function readerOf(identified: Identified, { scope, options }: Pick<Judging, 'scope' | 'options'>): ListReader {
  const { effectOf, decisions, trust } = options
  return { identified, server: scope.server, effectOf, decisions, trust }
}

/** The token or id by which a notification belongs to one request of the client. */
export function refersTo(message: ServerMessage): RequestId | undefined {
  return message.kind === 'notification' ? message.refersTo : undefined
}
