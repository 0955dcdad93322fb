/** The action that policy is asked about: one per MCP method. */

import type { Classified, ClassifiedRequest } from './classified.ts'
import type { MethodGroup } from './method.ts'

/** The action as policy takes it: `tools/call` in one of its groups, or what the row of the method says. */
export interface McpAction {
  readonly name: string
  readonly group: MethodGroup
}

export type ToolEffect = 'read' | 'write' | 'admin'

/** The effect that the operator has declared for a tool; `write` where nothing is declared. */
export type ToolEffects = (server: string, tool: string) => ToolEffect

const TOOL_CALLS: Readonly<Record<ToolEffect, McpAction>> = {
  read: { name: 'tools/call', group: 'read' },
  write: { name: 'tools/call', group: 'write' },
  admin: { name: 'tools/call', group: 'admin' },
}

const CLIENT_RESPONSE: McpAction = { name: 'response', group: 'session' }
const SESSION_OPERATIONS: Readonly<Record<'stream' | 'end', McpAction>> = {
  stream: { name: 'GET', group: 'session' },
  end: { name: 'DELETE', group: 'session' },
}

/**
 * The action of a classified message. Its name is the MCP method; what has none is called `response`
 * (a client's answer), `GET` (the stream of a session) and `DELETE` (its end). `tools/call` is in the
 * group of the tool's effect, everything else in the group of its row.
 *
 * The `parts` of a `subscriptions/listen` are asked about one by one, with `partAction`.
 */
export function mcpAction(message: Classified, server: string, effects: ToolEffects): McpAction {
  switch (message.kind) {
    case 'response':
      return CLIENT_RESPONSE
    case 'session-operation':
      return SESSION_OPERATIONS[message.operation]
    case 'request':
    case 'notification': {
      const { method, group } = message.row
      return group === 'declared' ? TOOL_CALLS[effects(server, message.subject.name)] : { name: method, group }
    }
  }
}

/** The action on each part of a request that names several subjects. */
export function partAction(message: ClassifiedRequest): McpAction {
  return { name: message.method, group: 'read' }
}
