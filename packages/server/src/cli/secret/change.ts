/** `doorward secret put` and `doorward secret rotate`: a value by file, standard input or a terminal, never by argument. */

import type { Command } from 'commander'
import { ServerRefused } from '@doorward/sdk'
import { secretFrom } from '../../config/secret-input.ts'
import type { CliContext } from '../context.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable } from '../output.ts'
import { askGateway } from '../servers/asking.ts'

type Verb = 'put' | 'rotate'

const words = {
  put: 'keep a new secret, sealed in the state of the gateway',
  rotate:
    'put another value in place of one that is there: the next call uses it, calls under way end with the one before',
} as const

interface ChangeOptions {
  readonly as?: string
  readonly file?: string
}

export function registerChange(secret: Command, context: CliContext, verb: Verb): void {
  secret
    .command(`${verb} <name>`)
    .description(words[verb])
    .option(...asOption)
    .option('--file <path>', 'file with the value; standard input without it. A final line end is not part of it')
    .addHelpText(
      'after',
      `\nExamples:\n  doorward secret ${verb} github --file github.token\n  doorward secret ${verb} github < github.token\n\nThe configuration says which servers may use it: secrets: { github: { servers: [github] } }`,
    )
    .action((name: string, options: ChangeOptions) => change(verb, name, options, context))
}

async function change(verb: Verb, name: string, { as, file }: ChangeOptions, context: CliContext): Promise<void> {
  const value = await secretFrom({
    file,
    stdin: context.stdin,
    signal: context.signal,
    ask: (text) => context.err(text),
  })
  const told = await askGateway(context, as, (client) =>
    client.changeSecret(verb, name, value).catch((error: unknown) => {
      throw refusal(error, name)
    }),
  )
  if (context.json) return context.out(JSON.stringify(told))
  const { version } = told
  const done = painter(context.color)('green', '✓')
  context.out(
    `${done} ${verb === 'put' ? 'kept' : 'replaced'} ${printable(name)}, version ${typeof version === 'string' ? printable(version) : '?'}`,
  )
}

const next: Readonly<Record<string, (name: string) => string>> = {
  secret_exists: (name) => `doorward secret rotate ${name}`,
  secret_missing: (name) => `doorward secret put ${name}`,
  secret_undeclared: (name) =>
    `say which servers may use it, secrets: { ${name}: { servers: [NAME] } }, then: doorward gateway reload`,
  secret_store_full: () => 'doorward secret remove what nobody uses',
}

/** By its reason, where the gateway gives one. */
export function refusal(error: unknown, name: string): unknown {
  const reason = error instanceof ServerRefused ? error.details?.['reason'] : undefined
  if (!(error instanceof Error) || typeof reason !== 'string') return error
  return new CheckFailed(reason, messages[reason] ?? error.message, {
    where: name,
    ...(next[reason] === undefined ? {} : { next: next[reason](name) }),
  })
}

const messages: Readonly<Record<string, string>> = {
  secret_exists: 'a secret of this name is there already',
  secret_missing: 'there is no secret of this name',
  secret_undeclared: 'the configuration has no secret of this name that the gateway keeps itself',
  secret_store_full: 'the gateway keeps as many secrets as it may',
}
