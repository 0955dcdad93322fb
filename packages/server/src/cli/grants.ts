/** `doorward grants`: what people have granted the gateway towards servers. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { registerList } from './grants/list.ts'
import { registerRevoke } from './grants/revoke.ts'

export function register(program: Command, context: CliContext): void {
  const grants = program
    .command('grants')
    .description('see what people have granted towards servers, and take it away; nothing ever shows a token')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward grants list\n  doorward grants revoke 0123456789abcdef0123456789abcdef\n  doorward grants revoke --user "https://login.acme.example#ada"',
    )
  registerList(grants, context)
  registerRevoke(grants, context)
}
