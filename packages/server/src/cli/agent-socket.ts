/** `doorward agent run --socket`: the SPIFFE Workload API for the programs of this machine. */

import { resolve } from 'node:path'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { WorkloadAgentEvent } from '../apps/workload-api/agent.ts'
import type { CliContext } from './context.ts'
import { painter, printable } from './output.ts'

interface SocketOptions {
  readonly socket?: string
  readonly write?: string
  readonly as?: string
  readonly token: readonly string[]
  readonly onChange?: readonly string[]
  readonly once: boolean
}

export async function serve(options: SocketOptions, words: readonly string[], context: CliContext): Promise<void> {
  const { socket = '', write, as, token, onChange, once } = options
  const ofFiles = [write, as, token[0], onChange, words[0], once ? '--once' : undefined]
  if (ofFiles.some((value) => value !== undefined))
    throw new DoorwardError('options_contradict', '--socket goes with no option of files', {
      expected: '--socket PATH alone: workload_api of the configuration says who gets which identity',
    })
  const { runWorkloadAgent } = await import('../apps/workload-api/agent.ts')
  await runWorkloadAgent({
    deployment: await context.deployment(),
    environment: context.environment,
    socket: resolve(socket),
    report: (event) => (context.json ? context.out(JSON.stringify(documentOf(event))) : tell(event, context)),
    signal: context.signal,
  })
}

function documentOf(event: WorkloadAgentEvent): object {
  if (event.type !== 'problem') {
    const { type, ...rest } = event
    return { event: type, ...rest }
  }
  const { error, count } = event
  const code = isDoorwardError(error) ? error.code : 'internal'
  return { event: 'problem', code, message: messageOf(error), count }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function tell(event: WorkloadAgentEvent, context: CliContext): void {
  const paint = painter(context.color)
  switch (event.type) {
    case 'listening':
      context.out(`${paint('green', '\u2713')} unix://${printable(event.path)} for ${event.identities.join(', ')}`)
      break
    case 'served':
      context.out(`${event.method} ${event.ids.join(', ')} to ${programOf(event)}`)
      break
    case 'refused':
      context.err(
        paint('red', `refused ${event.method} to ${programOf(event)}: ${printable(event.reason)}${timesOf(event)}`),
      )
      break
    case 'problem':
      context.err(`warning: ${printable(messageOf(event.error))}${timesOf(event)}`)
  }
}

function timesOf({ count }: { readonly count: number }): string {
  return count > 1 ? `, ${count} times` : ''
}

function programOf({ pid, uid, program }: { pid: number; uid: number; program: string | null }): string {
  return `${printable(program ?? 'a program')} (pid ${pid}, uid ${uid})`
}
