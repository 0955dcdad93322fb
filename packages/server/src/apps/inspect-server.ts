/** Starts a stdio MCP server once, asks what it defines, and ends it. Nothing is called. */

import { LIST_LIMITS } from '@doorward/core'
import { StdioProcess } from '../transports/stdio.ts'
import type { StdioCommand } from '../transports/stdio.ts'
import { ChannelConversation } from './channel-conversation.ts'
import { inspect } from './inspection.ts'
import type { Inspection } from './inspection.ts'

export type ServerLaunch = Pick<StdioCommand, 'command' | 'cwd' | 'env'> &
  Partial<Pick<StdioCommand, 'user' | 'wrapper'>>

const SAID_LINES = 3

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
