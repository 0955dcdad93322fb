/** `doorward servers`: what servers say of themselves and their tools, and its approval. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { registerApprove } from './servers/approve.ts'
import { registerList } from './servers/list.ts'
import { registerShow } from './servers/show.ts'

export function register(program: Command, context: CliContext): void {
  const servers = program
    .command('servers')
    .description('show what servers say of themselves and their tools, and approve it')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward servers list\n  doorward servers show files\n  doorward servers approve files',
    )
  registerList(servers, context)
  registerShow(servers, context)
  registerApprove(servers, context)
}
