/** `doorward secret`: what the gateway proves itself with to servers. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { registerChange } from './secret/change.ts'
import { registerList } from './secret/list.ts'
import { registerRemove } from './secret/remove.ts'

export function register(program: Command, context: CliContext): void {
  const secret = program
    .command('secret')
    .description('keep the secrets that servers want; nothing ever shows one')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward secret put github --file github.token\n  doorward secret rotate github < github.token\n  doorward secret list\n  doorward secret remove github',
    )
  registerChange(secret, context, 'put')
  registerChange(secret, context, 'rotate')
  registerList(secret, context)
  registerRemove(secret, context)
}
