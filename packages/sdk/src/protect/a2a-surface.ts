/** An agent in the program, judged as a gateway judges what it forwards: by the body, and with tasks that belong to who began them. */

import { cardPath, DoorwardError, isEndpointPath, parseAgentCard, shownCard, utf8 } from '@doorward/core'
import type { AgentCard, JsonObject } from '@doorward/core'
import {
  agentHeaders,
  AgentNames,
  agentRequest,
  deny,
  isDenial,
  maxEventBytes,
  messageProblem,
  openAgentFilter,
  ownerOf,
  revisionProblem,
  TaskOwners,
} from '@doorward/enforcement'
import type { AgentRequest, Call, Denial, Identified, RequestHead } from '@doorward/enforcement'
import { filterAnswer } from './filtered-answer.ts'
import type { Asked, AskedMessage, Surface } from './surface.ts'

export interface A2aOptions {
  /** Where the handler is asked; `/a2a` by default. */
  readonly path?: string
  /** What the program says of itself, as the JSON of A2A 1.0 or 0.3. Callers see it with our URL and our ways to get in. */
  readonly card: object
}

interface A2aParts {
  /** Name of this program in policy. */
  readonly service: string
  /** URL at which callers reach it. */
  readonly audience: string
  /** 32 bytes: proves whose a task is. */
  readonly nameKey: Uint8Array
}

/** Throws `a2a_path` and `a2a_card`. */
export function a2aSurface({ path = '/a2a', card: given }: A2aOptions): (parts: A2aParts) => Surface {
  if (!isEndpointPath(path) || path === cardPath)
    throw new DoorwardError('a2a_path', 'no path of an endpoint', { got: path.slice(0, 200), expected: '/a2a' })
  const card = cardOf(given)
  return ({ service, audience, nameKey }) => {
    const agent: Agent = { service, path, card, names: new AgentNames(nameKey), owners: new TaskOwners() }
    const shown = shownCard(card, new URL(path, audience).href)
    return {
      classify: ({ head, body, identified }) =>
        headProblem(head, path) ??
        (head.path === cardPath ? cardCall(service, shown) : messageCall(agent, { head, body, identified })),
      form: (_denial, { method }) => (method === 'POST' ? { rpc: true } : {}),
    }
  }
}

function cardOf(given: object): AgentCard {
  const card = parseAgentCard(utf8(JSON.stringify(given)))
  if ('problem' in card)
    throw new DoorwardError('a2a_card', 'the card of this agent cannot be shown', { got: card.problem })
  return card
}

function headProblem({ path, method, query }: RequestHead, own: string): Denial | null {
  if (path !== cardPath) return messageProblem({ method, query }, path === own)
  if (method !== 'GET') return deny('http_method', `expected GET, got ${method}`)
  return query === '' ? null : deny('request_invalid', 'a query beside a card')
}

/** It opens nothing: whoever may do anything here may see it. The handler is not asked. */
function cardCall(service: string, shown: JsonObject): Call<Asked> {
  return {
    action: { name: 'server/discover', group: 'session' },
    resource: { server: service, kind: 'server', name: '' },
    args: undefined,
    rpcId: undefined,
    detail: { route: `GET ${cardPath}`, identity: null, own: shown },
  }
}

interface Agent {
  readonly service: string
  readonly path: string
  readonly card: AgentCard
  readonly names: AgentNames
  readonly owners: TaskOwners
}

interface AskedAgent {
  readonly head: RequestHead
  readonly body: Uint8Array
  readonly identified: Identified
}

function messageCall(agent: Agent, { head, body, identified }: AskedAgent): Call<Asked> | Denial {
  const { service, path, card, names, owners } = agent
  const owner = ownerOf(identified.principal)
  const request = agentRequest(body, head, { agent: service, owner, names, owners })
  if (isDenial(request)) return request
  const { action, resource, message } = request
  // The card is known here, so that it is known now whether there is anything to object.
  const problem = revisionProblem(card, message.version)
  return {
    action,
    resource,
    args: undefined,
    rpcId: message.id,
    detail: { route: `POST ${path}`, identity: null, message: deliveredOf(request) },
    objection: problem === null ? null : async () => problem,
  }
}

function deliveredOf(request: AgentRequest): AskedMessage {
  const { answers, body } = request
  return {
    body,
    headers: agentHeaders(request),
    alone: true,
    permitted: () => {
      answers.permitted()
      return null
    },
    guard: (response, { fails }) => {
      const open = (type: string) => openAgentFilter(type, answers, maxEventBytes)
      return filterAnswer(response, open, (problem) => fails('upstream_invalid', problem))
    },
  }
}
