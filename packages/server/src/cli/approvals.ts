/** `doorward approvals`: calls that wait for a human, and the answers. */

import type { Command } from 'commander'
import { registerDecisions } from './approvals/decide.ts'
import { registerList } from './approvals/list.ts'
import { registerShow } from './approvals/show.ts'
import type { CliContext } from './context.ts'

export function register(program: Command, context: CliContext): void {
  const approvals = program
    .command('approvals')
    .description('show calls that wait for a human, and answer them')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward approvals list\n  doorward approvals show ap-3f0c…\n  doorward approvals approve ap-3f0c…\n  doorward approvals deny ap-3f0c… --reason "not on a Friday"',
    )
  registerList(approvals, context)
  registerShow(approvals, context)
  registerDecisions(approvals, context)
}
