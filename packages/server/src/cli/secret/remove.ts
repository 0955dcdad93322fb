/** `doorward secret remove`: from then on servers that want it are not called. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { confirmed } from '../confirmation.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable } from '../output.ts'
import { askGateway } from '../servers/asking.ts'
import { refusal } from './change.ts'

interface RemoveOptions {
  readonly as?: string
  readonly yes: boolean
}

export function registerRemove(secret: Command, context: CliContext): void {
  secret
    .command('remove <name>')
    .description('forget a secret: calls that need it are refused from then on')
    .option(...asOption)
    .option('--yes', 'do not ask', false)
    .addHelpText('after', '\nExamples:\n  doorward secret remove github\n  doorward secret remove github --yes')
    .action((name: string, options: RemoveOptions) => remove(name, options, context))
}

async function remove(name: string, { as, yes }: RemoveOptions, context: CliContext): Promise<void> {
  if (!yes && !(await confirmed(context, `forget the secret ${printable(name)}?`, 'say --yes')))
    throw new CheckFailed('not_confirmed', 'nothing was removed')
  await askGateway(context, as, (client) =>
    client.removeSecret(name).catch((error: unknown) => {
      throw refusal(error, name)
    }),
  )
  if (context.json) return context.out(JSON.stringify({ name, removed: true }))
  context.out(`${painter(context.color)('green', '✓')} forgot ${printable(name)}`)
}
