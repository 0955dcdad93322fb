/** An MCP server in the program, judged as a gateway judges what it forwards: by the body, answers message by message, sessions and tasks by whose they are. */

import { DoorwardError, isEndpointPath, MODERN_VERSIONS, readNamePattern } from '@doorward/core'
import type { Principal } from '@doorward/core'
import {
  defaultSessionLimits,
  deny,
  Handles,
  isDenial,
  isModern,
  mcpClassifier,
  noEffects,
  possibleEffects,
  sessionMustEnd,
  SessionTable,
  TaskOwners,
  toolEffects,
} from '@doorward/enforcement'
import type {
  DeclaredEffects,
  Denial,
  ListReader,
  McpCallOptions,
  RequestHead,
  SessionLimits,
  TrafficOptions,
} from '@doorward/enforcement'
import { randomBytes } from '../platform/hash.ts'
import { systemRuntime } from '../runtime.ts'
import type { ToldIdentity } from './delivered-request.ts'
import { McpMessage } from './mcp-message.ts'
import type { McpState } from './mcp-message.ts'
import { requireLimits } from './protect-limits.ts'
import type { AskedRequest, LastingState, Surface } from './surface.ts'

export interface McpOptions {
  /** Where the handler serves MCP; `/mcp` by default. */
  readonly path?: string
  /** What tools do, by name with `*` for any characters; a tool that is not named writes. */
  readonly effects?: Partial<DeclaredEffects>
  /** Single values of how many sessions there may be, and for how long; those of a gateway by default. */
  readonly sessions?: Partial<SessionLimits>
}

interface McpParts extends Pick<ListReader, 'decisions' | 'trust'> {
  /** Name of this program in policy. */
  readonly service: string
  readonly bodyBytes: number
  /** 32 bytes: proves whose a task or a request state is. */
  readonly nameKey: Uint8Array
  readonly onProblem: (error: unknown) => void
}

/**
 * A session is there when the handler opens one, and is its caller's alone: callers know it by a name of ours. Throws `mcp_path`,
 * `mcp_effects` and `limit_invalid`.
 */
export function mcpSurface(options: McpOptions): (parts: McpParts) => Surface {
  const { path = '/mcp', effects = {} } = options
  if (!isEndpointPath(path))
    throw new DoorwardError('mcp_path', 'no path of an endpoint', { got: path, expected: '/mcp' })
  const declared = { ...noEffects, ...effects }
  requireEffects(declared)
  const limits = sessionLimitsOf(options.sessions)
  return (parts) => {
    const state = stateOf(parts, declared, limits)
    const judging = judgingOf(parts, state)
    return {
      classify: (asked) => headProblem(asked.head, path) ?? classified(asked, { path, state, judging }),
      form: (denial, head) => ({ rpc: true, modern: isModern(head), toolCall: denial.action?.name === 'tools/call' }),
      lasting: lastingOf(state),
    }
  }
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

function sessionLimitsOf(said: Partial<SessionLimits> = {}): SessionLimits {
  const given = Object.entries(said).filter(([, value]) => value !== undefined)
  requireLimits(Object.fromEntries(given.map(([name, value]) => [`mcp.sessions.${name}`, value])))
  return { ...defaultSessionLimits, ...Object.fromEntries(given) }
}

function stateOf(
  { decisions, trust, onProblem }: McpParts,
  declared: DeclaredEffects,
  limits: SessionLimits,
): McpState {
  const dropped = (got: string) =>
    new DoorwardError('mcp_dropped', 'a message of the MCP server of this program goes to nobody', { got })
  const traffic: TrafficOptions = {
    decisions,
    trust,
    effectOf: toolEffects(declared),
    effects: possibleEffects(declared),
    tasks: new TaskOwners(),
    onDropped: (_scope, reason) => onProblem(dropped(reason)),
  }
  const sessions = new SessionTable({ limits, random: randomBytes, monotonic: systemRuntime.monotonic })
  return { sessions, traffic, names: new WeakMap(), underWay: new WeakMap(), streams: new Set(), opens: null }
}

type Judging = Omit<McpCallOptions, 'head' | 'onOpened'>

function judgingOf({ service, bodyBytes, nameKey, trust }: McpParts, state: McpState): Judging {
  const { sessions, traffic } = state
  return {
    server: service,
    effectOf: traffic.effectOf,
    tasks: traffic.tasks,
    sessions,
    handles: new Handles({ key: nameKey, now: () => trust.now() }),
    versions: () => MODERN_VERSIONS,
    // The handler says so itself, of those that are its caller's.
    taskless: () => false,
    sessionless: (named) => (state.opens === null ? !named : !state.opens),
    alone: () => state.opens !== true,
    bodyBytes,
  }
}

const METHODS: ReadonlySet<string> = new Set(['POST', 'GET', 'DELETE'])

function headProblem({ path, query, method }: RequestHead, own: string): Denial | null {
  if (path !== own) return deny('path_unknown', `the MCP server is at ${own}`)
  if (query !== '') return deny('request_invalid', 'an MCP endpoint takes no query')
  return METHODS.has(method) ? null : deny('http_method', `${method} is not a method of MCP`)
}

interface Judged {
  readonly path: string
  readonly state: McpState
  readonly judging: Judging
}

function classified(asked: AskedRequest, { path, state, judging }: Judged): ReturnType<Surface['classify']> {
  const { head, body, identified, onRefused } = asked
  const onOpened: McpCallOptions['onOpened'] = (session) => onRefused(() => state.sessions.remove(session))
  const call = mcpClassifier({ ...judging, head, onOpened })(body, identified)
  if (isDenial(call)) return call
  const message = new McpMessage({ state, call, identified, body })
  const route = `${head.method} ${path}`
  return { ...call, detail: { route, identity: identityOf(identified.principal), message } }
}

function identityOf({ presenter, scope, expires }: Principal): ToldIdentity {
  return { token: '', clientId: presenter.uri, scopes: [...(scope ?? [])], expiresAt: expires }
}

function lastingOf({ sessions, streams }: McpState): LastingState {
  return {
    sweep: () => void sessions.sweep(),
    review: (view) => void sessions.endWhere((session) => sessionMustEnd(session, view)),
    endStreams: () => {
      for (const one of streams) one.endStream()
    },
  }
}
