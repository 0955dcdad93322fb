/** A modern request with the server's own names in the place of those that its caller knows; refused where one is not the caller's. */

import { isJsonObject, itemSpans, memberSpan, spliceSpans } from '@doorward/core'
import type { ByteSpan, ClassifiedRequest, JsonValue, McpSubject, SpanEdit } from '@doorward/core'
import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'
import type { ScopedHandles } from './call-scope.ts'
import type { Handles, HandleUse } from './handles.ts'

/** What leaves, where that is not what came. */
export interface RestoredRequest {
  readonly body: Uint8Array
  /** What `Mcp-Name` then has to say; null when it stays. */
  readonly name: string | null
}

export interface OwnNames {
  readonly handles: ScopedHandles
  /** Null when the request holds none of the names. */
  readonly restored: RestoredRequest | null
  readonly subject: McpSubject
  readonly parts: readonly McpSubject[]
}

export interface RestoreParts {
  readonly body: Uint8Array
  readonly value: JsonValue | undefined
  readonly message: ClassifiedRequest
  readonly handles: Handles
  readonly server: string
  readonly owner: string
  /** The server knows no tasks. */
  readonly taskless: boolean
}

/**
 * Denials: `handle_unknown`, for names that were altered, given to somebody else or for something else, or are too old;
 * `method_unknown`, as the server would say it, where it knows no tasks.
 */
export function restoreNames(parts: RestoreParts): OwnNames | Denial {
  const { message, handles, server, owner } = parts
  const task: HandleUse = { kind: 'task', server, owner }
  const state: HandleUse = { kind: 'state', server, owner, method: message.method, name: message.subject.name }
  const restoring = new Restoring(parts)
  const subject = message.subject.kind === 'task' ? restoring.task(message.subject, task) : message.subject
  const named = message.parts.some(({ kind }) => kind === 'task') ? restoring.parts(task) : message.parts
  if (subject === null && parts.taskless)
    return deny('method_unknown', 'the server knows no tasks', { http: 404, rpcId: message.id })
  if (subject === null || named === null || !restoring.state(state))
    return deny('handle_unknown', 'a task or request state that was not given to this caller for this', {
      rpcId: message.id,
    })
  return {
    subject,
    parts: named,
    restored: restoring.restored(subject === message.subject ? null : subject.name),
    handles: {
      statePrefix: (text) => handles.prefix(state, text),
      taskPrefix: (taskId) => restoring.known.get(taskId) ?? handles.prefix(task, taskId),
    },
  }
}

class Restoring {
  /** Prefixes that came with the request, by the server's own name. */
  readonly known = new Map<string, string>()
  readonly #parts: RestoreParts
  readonly #edits: SpanEdit[] = []

  constructor(parts: RestoreParts) {
    this.#parts = parts
  }

  task(subject: McpSubject, use: HandleUse): McpSubject | null {
    const { body } = this.#parts
    return this.#subject(subject, use, memberSpan(body, ['params', 'taskId']))
  }

  parts(use: HandleUse): readonly McpSubject[] | null {
    const { body, message } = this.#parts
    const spans = itemSpans(body, ['params', 'notifications', 'taskIds'])?.items ?? []
    const own: McpSubject[] = []
    let at = 0
    for (const part of message.parts) {
      const one = part.kind === 'task' ? this.#subject(part, use, spans[at++] ?? null) : part
      if (one === null) return null
      own.push(one)
    }
    return own
  }

  /** True where there is none. */
  state(use: HandleUse): boolean {
    const { body, value } = this.#parts
    const params = isJsonObject(value) ? value['params'] : undefined
    const text = isJsonObject(params) ? params['requestState'] : undefined
    if (text === undefined) return true
    return typeof text === 'string' && this.#cut(text, use, memberSpan(body, ['params', 'requestState'])) !== null
  }

  restored(name: string | null): RestoredRequest | null {
    return this.#edits.length === 0 ? null : { body: spliceSpans(this.#parts.body, this.#edits), name }
  }

  #subject({ kind, name }: McpSubject, use: HandleUse, span: ByteSpan | null): McpSubject | null {
    const prefix = this.#cut(name, use, span)
    if (prefix === null) return null
    const own = name.slice(prefix.length)
    this.known.set(own, prefix)
    return { kind, name: own }
  }

  /** Takes the proof off the string; whoever spells it in another way than we did is not understood. */
  #cut(text: string, use: HandleUse, span: ByteSpan | null): string | null {
    const { body, handles } = this.#parts
    const prefix = handles.prefixOf(use, text)
    if (prefix === null || span === null) return null
    const start = span.start + 1
    const end = start + prefix.length
    if (new TextDecoder('latin1').decode(body.subarray(start, end)) !== prefix) return null
    this.#edits.push({ start, end, bytes: new Uint8Array(0) })
    return prefix
  }
}
