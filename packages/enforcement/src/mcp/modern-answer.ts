/** Answers of the modern era: nothing that the client has not declared, nothing that may be shared, and handles bound to their caller. */

import {
  isJsonObject,
  itemSpans,
  knownVersions,
  memberSpan,
  modernResultProblem,
  spliceSpans,
  utf8,
} from '@doorward/core'
import type { ByteSpan, JsonObject, JsonValue, ServerMessage, SpanEdit } from '@doorward/core'
import type { CallScope, ScopedHandles } from './call-scope.ts'

export interface AnswerProblem {
  readonly problem: string
}

/**
 * The result as the client may have it: what is not changed passes byte for byte. What a filtered list or an authorized
 * resource says is for this caller alone, whatever its server thinks; versions are those that we know as well.
 */
export function judgeModernAnswer(
  bytes: Uint8Array,
  message: JsonValue,
  method: string,
  scope: CallScope,
): Uint8Array | AnswerProblem {
  const result = isJsonObject(message) ? message['result'] : undefined
  if (!isJsonObject(result)) return { problem: 'an answer without a result' }
  const capabilities = isJsonObject(scope.clientCapabilities) ? scope.clientCapabilities : undefined
  const problem = modernResultProblem(result, method, capabilities)
  if (problem !== null) return { problem }
  const edits = [...cacheEdits(bytes, result), ...handleEdits(bytes, result, { method, handles: scope.handles })]
  if (method === 'server/discover') {
    const versions = versionEdits(bytes, result)
    if ('problem' in versions) return versions
    edits.push(...versions)
  }
  return edits.length === 0 ? bytes : spliceSpans(bytes, edits)
}

function cacheEdits(bytes: Uint8Array, { cacheScope }: JsonObject): SpanEdit[] {
  return cacheScope === undefined || cacheScope === 'private' ? [] : replacing(bytes, 'cacheScope', '"private"')
}

function versionEdits(bytes: Uint8Array, { supportedVersions }: JsonObject): SpanEdit[] | AnswerProblem {
  const versions = knownVersions(supportedVersions)
  if (versions === null) return { problem: 'a discovery without versions' }
  const all = Array.isArray(supportedVersions) && supportedVersions.length === versions.length
  return all ? [] : replacing(bytes, 'supportedVersions', JSON.stringify(versions))
}

function replacing(bytes: Uint8Array, member: string, text: string): SpanEdit[] {
  const span = memberSpan(bytes, ['result', member])
  return span === null ? [] : [{ ...span, bytes: utf8(text) }]
}

interface Handling {
  readonly method: string
  readonly handles: ScopedHandles | null
}

/** A state is bound to the request that is repeated with it, a task to whom its server has given it. */
function handleEdits(bytes: Uint8Array, result: JsonObject, { method, handles }: Handling): SpanEdit[] {
  const { resultType, requestState, taskId } = result
  if (handles === null) return []
  const edits: SpanEdit[] = []
  if (resultType === 'input_required' && typeof requestState === 'string')
    edits.push(...before(memberSpan(bytes, ['result', 'requestState']), handles.statePrefix(requestState)))
  if ((resultType === 'task' || method === 'tasks/get') && typeof taskId === 'string')
    edits.push(...before(memberSpan(bytes, ['result', 'taskId']), handles.taskPrefix(taskId)))
  return edits
}

/** Letters, digits and points may stand in a JSON string as they are: the string itself keeps its spelling. */
function before(span: ByteSpan | null, prefix: string): SpanEdit[] {
  return span === null ? [] : [{ start: span.start + 1, end: span.start + 1, bytes: utf8(prefix) }]
}

/** A notification with the task ids that its reader knows. */
export function withTaskHandles(
  bytes: Uint8Array,
  { method, subject }: Extract<ServerMessage, { kind: 'notification' }>,
  handles: ScopedHandles,
): Uint8Array {
  if (subject.kind === 'task')
    return spliceSpans(bytes, before(memberSpan(bytes, ['params', 'taskId']), handles.taskPrefix(subject.name)))
  if (method !== 'notifications/subscriptions/acknowledged') return bytes
  const listed = itemSpans(bytes, ['params', 'notifications', 'taskIds'])
  if (listed === null) return bytes
  const edits = listed.items.flatMap((span) => {
    const taskId: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(span.start, span.end)))
    return typeof taskId === 'string' ? before(span, handles.taskPrefix(taskId)) : []
  })
  return spliceSpans(bytes, edits)
}
