/** Words that lead to no command: help, the version, and usage errors, for people and as JSON. */

import type { Command, CommanderError } from 'commander'
import { DoorwardError } from '@doorward/core'
import { version } from '../config/version.ts'
import type { CliContext } from './context.ts'
import { reportFailure } from './failure.ts'

/** Help that was asked for goes to standard output, other help to standard error; for a JSON answer it is kept. */
export function keepHelp(program: Command, context: CliContext, asked: boolean): () => string {
  let text = ''
  const keep = (part: string) => void (text += part)
  const stream = asked ? context.stdout : context.stderr
  program.configureOutput({
    writeOut: (part) => (context.json ? keep(part) : void context.stdout.write(part)),
    writeErr: (part) => (context.json ? keep(part) : void stream.write(part)),
    outputError: () => undefined,
  })
  return () => text
}

export interface Unused {
  readonly context: CliContext
  readonly help: string
  /** The first word; without one the help is the answer. */
  readonly command: string | null
  readonly known: boolean
}

/** Tells what became of the words and returns the exit code: 0 for an answer, 2 for a usage error. */
export function endWithout(error: CommanderError, { context, help, command, known }: Unused): 0 | 2 {
  const helped = error.code === 'commander.help'
  if (error.exitCode === 0 || (command === null && helped)) {
    if (context.json) context.out(JSON.stringify(error.code === 'commander.version' ? { version } : { help }))
    return 0
  }
  if (helped && !context.json) return 2
  const [message = '', hint] = error.message.replace(/^error: /, '').split('\n')
  const suggested = /\(Did you mean (?:one of )?(.+)\?\)/.exec(hint ?? '')?.[1]
  const usage = new DoorwardError('usage', helped ? 'a command is missing' : message, {
    ...(suggested === undefined ? {} : { expected: suggested }),
    next: `doorward ${known ? `${command} ` : ''}--help`,
  })
  reportFailure(usage, context)
  return 2
}
