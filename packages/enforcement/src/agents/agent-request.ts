/** A request to an agent as the path decides about it: in the agent's own names, and refused where one is not the caller's. */

import { a2aErrors, classifyA2a, spliceSpans, utf8 } from '@doorward/core'
import type { A2aName, A2aRefusal, A2aRequest, Action, JsonValue, Resource, SpanEdit } from '@doorward/core'
import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'
import type { RequestHead } from '../inbound.ts'
import { jsonType, readJsonBody } from '../rpc-request.ts'
import { AgentAnswers } from './agent-answers.ts'
import type { AgentScope } from './agent-scope.ts'

export interface AgentRequest {
  readonly message: A2aRequest
  readonly action: Action
  readonly resource: Resource
  /** What the agent is sent: the judged bytes with its own names. */
  readonly body: Uint8Array
  readonly value: JsonValue
  /** How its answer is told to the caller. */
  readonly answers: AgentAnswers
}

/**
 * Pure: what it is about is known as its caller's once it is permitted (`AgentAnswers.permitted`). Denials: `content_type`, those of JSON, those of `classifyA2a`, and `handle_unknown`
 * for names that were not given to this caller: to A2A, a task that is not found.
 */
export function agentRequest(body: Uint8Array, head: RequestHead, scope: AgentScope): AgentRequest | Denial {
  const read = readJsonBody(body, head)
  if ('denied' in read) return read
  const message = classifyA2a({ body, value: read.value, version: head.headers['a2a-version'] })
  if (message.kind === 'refusal') return denialOf(message)
  const own = ownNames(body, message, scope)
  if (own === null)
    return deny('handle_unknown', 'a task or context that was not given to this caller', {
      rpcId: message.id,
      rpc: a2aErrors.taskNotFound,
    })
  const { row, task } = message
  const name = task === null ? null : (own.names.get(task) ?? null)
  return {
    message,
    action: { name: row.action, group: row.group },
    resource: { server: scope.agent, kind: name === null ? 'server' : 'task', name: name ?? '' },
    body: own.body,
    value: read.value,
    answers: new AgentAnswers({
      message,
      scope,
      named: [...own.names].map(([{ kind }, each]) => ({ kind, name: each })),
      asked: name,
    }),
  }
}

/** All headers of what an agent is sent. Nothing of the caller's: extensions, which a header asks for, are not passed on. */
export function agentHeaders({ message, answers }: AgentRequest): Readonly<Record<string, string>> {
  return {
    'content-type': jsonType,
    accept: answers.streams ? `text/event-stream, ${jsonType}` : jsonType,
    'a2a-version': message.version,
  }
}

function denialOf({ code, id, rpc, message }: A2aRefusal): Denial {
  return deny(code, message, { rpcId: id ?? undefined, rpc })
}

interface OwnNames {
  readonly body: Uint8Array
  readonly names: ReadonlyMap<A2aName, string>
}

/** Who spells a proof in another way than we did is not understood. */
function ownNames(body: Uint8Array, { names }: A2aRequest, scope: AgentScope): OwnNames | null {
  const { agent, owner } = scope
  const own = new Map<A2aName, string>()
  const edits: SpanEdit[] = []
  for (const one of names) {
    const change = scope.names.toAgent({ kind: one.kind, agent, owner }, one.name)
    if (change === null) return null
    const { cut, put } = change
    const start = one.span.start + 1
    const end = start + cut.length
    if (new TextDecoder('latin1').decode(body.subarray(start, end)) !== cut) return null
    own.set(one, `${put}${one.name.slice(cut.length)}`)
    edits.push({ start, end, bytes: utf8(put) })
  }
  return { body: edits.length === 0 ? body : spliceSpans(body, edits), names: own }
}
