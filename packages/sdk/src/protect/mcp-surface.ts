/** An MCP server in the program, judged as a gateway judges what it forwards: by the body, and lists by the decision that calls meet. */

import {
  DoorwardError,
  isEndpointPath,
  LEGACY_VERSIONS,
  LIST_LIMITS,
  mcpAction,
  memberSpan,
  MODERN_VERSIONS,
  parseMessage,
  partAction,
  readNamePattern,
  scanJson,
  spliceSpans,
  utf8,
} from '@doorward/core'
import type { Classified, ClassifiedRequest, Principal } from '@doorward/core'
import {
  contentProblem,
  deny,
  filteredList,
  isModern,
  noEffects,
  parameterProblem,
  readMcpMessage,
  rpcIdOf,
  toolEffects,
} from '@doorward/enforcement'
import type { Call, DeclaredEffects, Denial, Identified, ListReader, RequestHead } from '@doorward/enforcement'
import { readEvents } from '../event-stream.ts'
import type { ToldIdentity } from './delivered-request.ts'
import type { HeldAnswer, JudgeAnswer, JudgedAnswer } from './held-answer.ts'
import type { Asked, Surface } from './surface.ts'

export interface McpOptions {
  /** Where the handler serves MCP; `/mcp` by default. */
  readonly path?: string
  /** What tools do, by name with `*` for any characters; a tool that is not named writes. */
  readonly effects?: Partial<DeclaredEffects>
}

interface McpParts extends Pick<ListReader, 'decisions' | 'trust'> {
  /** Name of this program in policy. */
  readonly service: string
  readonly bodyBytes: number
}

/**
 * Sessions are not served: who a message is from is said by its own token, and nothing that one caller has opened is there for
 * another to name. Tasks are not either, whose ids would be such names. Throws `mcp_path` and `mcp_effects`.
 */
export function mcpSurface({ path = '/mcp', effects = {} }: McpOptions): (parts: McpParts) => Surface {
  if (!isEndpointPath(path))
    throw new DoorwardError('mcp_path', 'no path of an endpoint', { got: path, expected: '/mcp' })
  const declared = { ...noEffects, ...effects }
  requireEffects(declared)
  const effectOf = toolEffects(declared)
  return (parts) => ({
    classify: (head, body, identified) => {
      const wrong = headProblem(head, path) ?? contentProblem(head)
      if (wrong !== null) return wrong
      const supported = isModern(head) ? MODERN_VERSIONS : LEGACY_VERSIONS
      const read = readMcpMessage({ head, body, bodyBytes: parts.bodyBytes, session: null, supported })
      if ('denied' in read) return read
      const { message } = read
      const problem = unserved(head, message)
      if (problem !== null) return problem
      return callOf(message, { ...parts, path, effectOf, identified })
    },
    form: (denial, head) => ({
      rpc: true,
      modern: isModern(head),
      toolCall: denial.action?.name === 'tools/call',
    }),
  })
}

function requireEffects(declared: DeclaredEffects): void {
  const known = new Set(Object.keys(noEffects))
  for (const [effect, names] of Object.entries<readonly string[]>({ ...declared })) {
    const wrong = names.find((name) => 'problem' in readNamePattern(name))
    if (known.has(effect) && wrong === undefined) continue
    throw new DoorwardError('mcp_effects', 'an effect that would not be found again', {
      where: `mcp.effects.${effect}`,
      expected: 'read, write or admin, each a list of tool names',
      got: wrong ?? effect,
    })
  }
}

function headProblem({ path, query, method }: RequestHead, own: string): Denial | null {
  if (path !== own) return deny('path_unknown', `the MCP server is at ${own}`)
  if (query !== '') return deny('request_invalid', 'an MCP endpoint takes no query')
  return method === 'POST' ? null : deny('http_method', `expected POST, got ${method}: there are no sessions`)
}

const NO_SESSIONS = 'this program serves MCP without sessions'

function unserved(head: RequestHead, message: Classified): Denial | null {
  const rpcId = rpcIdOf(message)
  if (message.kind === 'response') return deny('response_unexpected', NO_SESSIONS)
  if (message.era === 'legacy' && head.headers['mcp-session-id'] !== undefined)
    return deny('session_unknown', NO_SESSIONS, rpcId)
  if (message.kind !== 'request') return null
  const tasks = message.method.startsWith('tasks/') || message.parts.some(({ kind }) => kind === 'task')
  const http = message.era === 'modern' ? 404 : 200
  if (tasks) return deny('method_unknown', 'this program serves no tasks', { ...rpcId, http })
  if (message.asTask) return deny('request_invalid', 'this program serves no tasks', rpcId)
  return parameterProblem(head, message)
}

interface Calling extends McpParts {
  readonly path: string
  readonly effectOf: ListReader['effectOf']
  readonly identified: Identified
}

function callOf(message: Classified, calling: Calling): Call<Asked> {
  const { service: server, path, effectOf, identified } = calling
  const { kind, name } = message.subject
  const parts = message.kind === 'request' ? message.parts : []
  return {
    action: mcpAction(message, server, (_server, tool) => effectOf(tool)),
    resource: { server, kind, name },
    ...(parts.length === 0
      ? {}
      : {
          parts: parts.map((part) => ({
            action: partAction(message as ClassifiedRequest),
            resource: { server, ...part },
          })),
        }),
    args: message.kind === 'request' ? message.args : undefined,
    ...rpcIdOf(message),
    detail: {
      route: `POST ${path}`,
      judge: message.kind === 'request' ? judgeOf(message, calling) : null,
      identity: identityOf(identified.principal),
    },
  }
}

function identityOf({ presenter, scope, expires }: Principal): ToldIdentity {
  return { token: '', clientId: presenter.uri, scopes: [...(scope ?? [])], expiresAt: expires }
}

function judgeOf(message: ClassifiedRequest, calling: Calling): JudgeAnswer | null {
  if (message.method === 'initialize') return async (answer) => withoutSession(answer)
  if (message.listOf === undefined) return null
  const { service: server, effectOf, identified, decisions, trust } = calling
  const reader = { server, effectOf, identified, decisions, trust, approved: null }
  return async (answer) => {
    const bytes = await messageBytes(answer, message.id)
    if (bytes === null) return nothing(answer)
    const list = await filteredList(bytes, message.method, reader)
    if ('problem' in list) throw unreadable(list.problem)
    return { type: 'application/json', bytes: ownList(list) }
  }
}

/** A session would be for whoever names it. */
async function withoutSession(answer: HeldAnswer): Promise<JudgedAnswer> {
  if (answer.response.getHeader('mcp-session-id') === undefined) return answer
  answer.response.removeHeader('mcp-session-id')
  throw new DoorwardError('mcp_session', 'the MCP server of this program opens sessions, which are not served', {
    next: 'make its transport without sessionIdGenerator, one for each request',
  })
}

/** An error without a message has nothing to filter, and nothing that its caller needs. */
function nothing({ status }: HeldAnswer): JudgedAnswer {
  if (status < 400) throw unreadable('expected a JSON-RPC message')
  return { type: '', bytes: new Uint8Array() }
}

/** The answer to the request, out of JSON or of a stream of events; null where there is none. */
async function messageBytes({ type, bytes }: HeldAnswer, id: ClassifiedRequest['id']): Promise<Uint8Array | null> {
  if (!type.startsWith('text/event-stream')) return answers(bytes, id) ? bytes : null
  const whole = async function* () {
    yield bytes
    // The last event may lack its empty line.
    yield utf8('\n\n')
  }
  for await (const { data } of readEvents(whole(), LIST_LIMITS.maxBytes)) {
    const message = utf8(data)
    if (answers(message, id)) return message
  }
  return null
}

function answers(bytes: Uint8Array, id: ClassifiedRequest['id']): boolean {
  const scan = scanJson(bytes, LIST_LIMITS)
  if (!scan.ok) return false
  const message = parseMessage(scan.value)
  return message.kind === 'error' || (message.kind === 'result' && message.id === id)
}

/** What was left of a list is for its reader alone. */
function ownList(bytes: Uint8Array): Uint8Array {
  const span = memberSpan(bytes, ['result', 'cacheScope'])
  return span === null ? bytes : spliceSpans(bytes, [{ ...span, bytes: utf8('"private"') }])
}

function unreadable(problem: string): DoorwardError {
  return new DoorwardError('mcp_list', 'a list that cannot be filtered', { got: problem })
}
