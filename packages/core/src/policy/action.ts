/**
 * Every action that policy knows: MCP methods (2025-11-25 and 2026-07-28), what is asked of agents over A2A, remote procedures of
 * plain JSON-RPC, and HTTP methods, with their groups.
 */

import type { Action, ActionGroup, ResourceKind } from './decision.ts'

/** One way an action may occur: counted in `group` when asked of one of `kinds`. */
export interface ActionUse {
  readonly group: ActionGroup
  readonly kinds: readonly ResourceKind[]
}

export interface ActionRow {
  readonly name: string
  readonly uses: readonly ActionUse[]
  /** The answer is a list, which must be filtered by the same decisions as calls. */
  readonly lists: boolean
}

const session: ActionUse = { group: 'session', kinds: ['server'] }
const readItem = (...kinds: ResourceKind[]): ActionUse => ({ group: 'read', kinds })
const writeItem = (...kinds: ResourceKind[]): ActionUse => ({ group: 'write', kinds })
const adminItem = (...kinds: ResourceKind[]): ActionUse => ({ group: 'admin', kinds })
const adminRoute = adminItem('route')

const uses: Readonly<Record<string, readonly ActionUse[]>> = {
  initialize: [session],
  ping: [session],
  'server/discover': [session],
  'logging/setLevel': [session],
  'notifications/initialized': [session],
  'notifications/cancelled': [session],
  'notifications/progress': [session],
  'notifications/roots/list_changed': [session],
  'notifications/tasks/status': [{ group: 'session', kinds: ['task'] }],
  response: [session],
  'tools/list': [session],
  'prompts/list': [session],
  'resources/list': [session],
  'resources/templates/list': [session],
  'tasks/list': [session, readItem('server')],
  'tools/call': [readItem('tool'), writeItem('tool'), adminItem('tool')],
  'prompts/get': [readItem('prompt')],
  'resources/read': [readItem('resource')],
  'resources/subscribe': [readItem('resource')],
  'resources/unsubscribe': [readItem('resource')],
  'completion/complete': [readItem('prompt', 'resource')],
  'subscriptions/listen': [session, readItem('resource', 'task')],
  'tasks/get': [readItem('task')],
  'tasks/result': [readItem('task')],
  'tasks/cancel': [writeItem('task')],
  'tasks/update': [writeItem('task')],
  'tasks/resubscribe': [readItem('task')],
  // To an agent: something new, or more to a task.
  'message/send': [writeItem('server', 'task')],
  'message/stream': [writeItem('server', 'task')],
  'rpc/call': [readItem('tool'), writeItem('tool'), adminItem('tool')],
  GET: [readItem('route'), session, adminRoute],
  HEAD: [readItem('route'), adminRoute],
  OPTIONS: [readItem('route'), adminRoute],
  POST: [writeItem('route'), session, adminRoute],
  PUT: [writeItem('route'), adminRoute],
  PATCH: [writeItem('route'), adminRoute],
  DELETE: [writeItem('route'), session, adminRoute],
}

const listing = new Set(['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'tasks/list'])

/** Rows by action name. `response` is a client's answer to a request of the server, which has no method of its own. */
export const actionTable: ReadonlyMap<string, ActionRow> = new Map(
  Object.entries(uses).map(([name, row]) => [name, { name, uses: row, lists: listing.has(name) }]),
)

/** True when the action exists, may count as its group, and applies to that kind of resource. */
export function isKnownUse(action: Action, kind: ResourceKind): boolean {
  const row = actionTable.get(action.name)
  return row !== undefined && row.uses.some((use) => use.group === action.group && use.kinds.includes(kind))
}

const groups: ReadonlySet<unknown> = new Set(['read', 'write', 'admin', 'session'])
const kinds: ReadonlySet<unknown> = new Set(['tool', 'prompt', 'resource', 'task', 'server', 'route'])

export function isActionGroup(value: unknown): value is ActionGroup {
  return groups.has(value)
}

export function isResourceKind(value: unknown): value is ResourceKind {
  return kinds.has(value)
}
