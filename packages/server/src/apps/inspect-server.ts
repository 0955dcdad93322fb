/** Starts a stdio MCP server once, asks what it defines, and ends it. Nothing is called. */

import { DoorwardError, LIST_LIMITS } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { VariablesFor } from '../transports/late-process.ts'
import { StdioProcess } from '../transports/stdio.ts'
import type { StdioCommand } from '../transports/stdio.ts'
import { ChannelConversation } from './channel-conversation.ts'
import { inspect } from './inspection.ts'
import type { Inspection } from './inspection.ts'

export type ServerLaunch = Pick<StdioCommand, 'command' | 'cwd' | 'env'> &
  Partial<Pick<StdioCommand, 'user' | 'wrapper'>>

const SAID_LINES = 3

/** The command with the secrets that a process of the gateway's own is given. Throws `server_start_failed`. */
export async function withVariables(
  command: StdioCommand,
  variablesFor: VariablesFor | null,
  onUse: (use: JsonObject) => void,
): Promise<StdioCommand> {
  const found = (await variablesFor?.(null)) ?? { variables: {}, uses: [] }
  if ('code' in found)
    throw new DoorwardError('server_start_failed', 'the server could not be asked what it defines', {
      where: command.command.join(' '),
      got: found.explanation,
    })
  for (const use of found.uses) onUse(use)
  return { ...command, env: { ...command.env, ...found.variables } }
}

/** What the server defines. Throws `server_start_failed`, `server_answer_invalid`, `server_answer_error`; the process is gone then, too. */
export function inspectServer(launch: ServerLaunch, signal: AbortSignal, milliseconds?: number): Promise<Inspection> {
  const said: string[] = []
  const place = {
    where: launch.command.join(' '),
    said: () => said.join(' | '),
    next: 'start the command by hand and see what it needs',
  }
  const conversation = new ChannelConversation(
    place,
    ({ onMessage, onExit }) =>
      new StdioProcess({ user: null, wrapper: [], ...launch }, LIST_LIMITS.maxBytes, {
        onLine: onMessage,
        onLog: (text) => said.push(text) > SAID_LINES && said.shift(),
        onExit,
      }),
  )
  return inspect(conversation, signal, milliseconds)
}
