/** What the caller of one request to an agent is told of its answers: its own tasks, each with the proof that it is. */

import { isJsonObject, memberSpan, readA2aAnswer, scanJson, spliceItems, spliceSpans, utf8 } from '@doorward/core'
import type { A2aAnswer, A2aListed, A2aName, A2aRequest, JsonValue, SpanEdit } from '@doorward/core'
import type { AgentScope } from './agent-scope.ts'

export interface AgentAnswersParts {
  readonly message: A2aRequest
  readonly scope: AgentScope
  /** What the message names, in the agent's own names. */
  readonly named: readonly Pick<A2aName, 'kind' | 'name'>[]
  /** The task that was asked about, in the agent's own name; null for none. */
  readonly asked: string | null
}

/** Of one message of an agent. */
const LIMITS = { maxDepth: 64, maxKeys: 100_000, prototypeKeys: 'keep' } as const
/** Methods that are answered with the very task that they name. */
const SAME_TASK: ReadonlySet<string> = new Set(['tasks/get', 'tasks/cancel'])

export class AgentAnswers {
  readonly #parts: AgentAnswersParts

  constructor(parts: AgentAnswersParts) {
    this.#parts = parts
  }

  /** True when several may come, as events. */
  get streams(): boolean {
    return this.#parts.message.row.streams
  }

  /** The message may be sent: what it names, and has proven to be its caller's, is known as that from now on. */
  permitted(): void {
    const { named, scope } = this.#parts
    for (const { kind, name } of named) scope.owners.note(kind, name, scope.owner)
  }

  /** One JSON-RPC message of the agent, as its caller may have it; or why not. */
  told(bytes: Uint8Array): Uint8Array | { readonly problem: string } {
    const scan = scanJson(bytes, { ...LIMITS, maxBytes: bytes.length })
    if (!scan.ok) return { problem: `an answer that is no JSON: ${scan.code}` }
    const answer = readA2aAnswer({ bytes, value: scan.value }, this.#parts.message)
    if (answer === null) return { problem: 'an answer that is none to this request' }
    switch (answer.kind) {
      case 'error':
        return bytes
      case 'list':
        return this.#list(bytes, answer)
      case 'result':
        return this.#result(bytes, scan.value, answer.names)
    }
  }

  #result(bytes: Uint8Array, value: JsonValue, names: readonly A2aName[]): Uint8Array | { readonly problem: string } {
    const { message, asked } = this.#parts
    if (SAME_TASK.has(message.row.action) && idOf(value) !== asked)
      return { problem: 'another task than was asked about' }
    const { owner, owners } = this.#parts.scope
    const isTheirs = ({ kind, name }: A2aName) => (owners.ownerOf(kind, name) ?? owner) !== owner
    const edits = names.some(isTheirs) ? null : this.#changes(bytes, names)
    if (edits === null) return { problem: 'a task or context of another caller' }
    // A task that nobody has seen yet is its first caller's, once an answer about it is passed on.
    for (const { kind, name } of names) if (owners.ownerOf(kind, name) === null) owners.note(kind, name, owner)
    return spliceSpans(bytes, edits)
  }

  /** Null where one of them is told to nobody but its own caller. */
  #changes(bytes: Uint8Array, names: readonly A2aName[]): SpanEdit[] | null {
    const { agent, owner, names: known } = this.#parts.scope
    const edits: SpanEdit[] = []
    for (const { kind, name, span } of names) {
      const change = known.toCaller({ kind, agent, owner }, name)
      const start = span.start + 1
      const end = start + (change?.cut.length ?? 0)
      if (change === null || new TextDecoder('latin1').decode(bytes.subarray(start, end)) !== change.cut) return null
      edits.push({ start, end, bytes: utf8(change.put) })
    }
    return edits
  }

  /** An agent behind us sees one caller, and lists the tasks of all: those that are known as this caller's stay. */
  #list(bytes: Uint8Array, answer: Extract<A2aAnswer, { kind: 'list' }>): Uint8Array | { readonly problem: string } {
    const keep = answer.tasks.map((task) => this.#isListed(task))
    const kept = spliceItems(bytes, answer.spans, keep)
    const scan = scanJson(kept, { ...LIMITS, maxBytes: kept.length })
    const left = scan.ok ? readA2aAnswer({ bytes: kept, value: scan.value }, this.#parts.message) : null
    if (left?.kind !== 'list') return { problem: 'a list that cannot be read' }
    const edits = this.#changes(
      kept,
      left.tasks.flatMap(({ names }) => names),
    )
    if (edits === null) return { problem: 'a task with a context of another caller' }
    const total = memberSpan(kept, ['result', 'totalSize'])
    return spliceSpans(kept, total === null ? edits : [...edits, { ...total, bytes: utf8(`${left.tasks.length}`) }])
  }

  #isListed({ id, names }: A2aListed): boolean {
    const { owner, owners } = this.#parts.scope
    if (owners.ownerOf('task', id) !== owner) return false
    return names.every(({ kind, name }) => (owners.ownerOf(kind, name) ?? owner) === owner)
  }
}

function idOf(value: JsonValue): string | null {
  const result = isJsonObject(value) ? value['result'] : undefined
  const id = isJsonObject(result) ? result['id'] : undefined
  return typeof id === 'string' ? id : null
}
