/** Agents over A2A: `/a2a/<agent>` for messages, and their card below it. What is decided is decided by the path; this is bytes. */

import { cardPath } from '@doorward/core'
import type { A2aVersion, JsonObject } from '@doorward/core'
import {
  agentHeaders,
  agentRequest,
  deny,
  isDenial,
  messageProblem,
  openAgentFilter,
  ownerOf,
  exactAgentMessage,
} from '@doorward/enforcement'
import type { AgentNames, Call, Classifier, Denial, TaskOwners } from '@doorward/enforcement'
import type { BackendCall, BackendCallOptions, BackendProtocol } from './backend-call.ts'

/** What is known of an agent's card. */
export interface AgentCards {
  /** What stands against a call of that revision, asked once policy allows it. */
  objection(version: A2aVersion): Promise<Denial | null>
  /** The card as callers may see it, or what stands against it. */
  shown(): Promise<JsonObject | Denial>
}

export interface AgentParts {
  readonly names: AgentNames
  readonly owners: TaskOwners
  readonly cards: AgentCards
}

export function agentProtocol(parts: AgentParts): BackendProtocol {
  return {
    prefix: '/a2a/',
    headProblem: ({ method, query }, path) => {
      if (path !== cardPath) return messageProblem({ method, query }, path === '' || path === '/')
      return method === 'GET' ? null : deny('http_method', `expected GET, got ${method}`)
    },
    classifier: (options) => (options.path === cardPath ? cardClassifier(options, parts) : classifier(options, parts)),
    form: ({ method }) => (method === 'POST' ? { rpc: true } : {}),
  }
}

/**
 * The card opens nothing: whoever may do anything here may see it. What is shown is the very card against which nothing stood,
 * whatever others have found of it since; the question itself is never sent on.
 */
function cardClassifier({ backend, head, trace }: BackendCallOptions, { cards }: AgentParts): Classifier<BackendCall> {
  return () => {
    let accepted: JsonObject | null = null
    return {
      action: { name: 'server/discover', group: 'session' },
      resource: { server: backend, kind: 'server', name: '' },
      args: undefined,
      rpcId: undefined,
      detail: { method: 'GET', path: null, query: '', head, trace, message: null, own: () => accepted },
      objection: async () => {
        const shown = await cards.shown()
        if (isDenial(shown)) return shown
        accepted = shown
        return null
      },
    }
  }
}

function classifier({ backend, head, trace }: BackendCallOptions, parts: AgentParts): Classifier<BackendCall> {
  return (body, { principal }): Call<BackendCall> | Denial => {
    const { names, owners, cards } = parts
    const request = agentRequest(body, head, { agent: backend, owner: ownerOf(principal), names, owners })
    if (isDenial(request)) return request
    const { action, resource, message, answers } = request
    return {
      action,
      resource,
      args: undefined,
      exact: () => exactAgentMessage(body, request.value),
      rpcId: message.id,
      detail: {
        method: 'POST',
        path: null,
        query: '',
        head,
        trace,
        message: {
          body: request.body,
          permitted: () => answers.permitted(),
          headers: agentHeaders(request),
          id: message.id,
          streams: answers.streams,
          filter: (type, answerBytes) => openAgentFilter(type, answers, answerBytes),
        },
      },
      objection: () => cards.objection(message.version),
    }
  }
}
