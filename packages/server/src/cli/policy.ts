/** `doorward policy`: judges, explains, tests and reloads what decides. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { registerCheck } from './policy/check.ts'
import { registerShow } from './policy/show.ts'
import { registerTest } from './policy/test.ts'
import { registerExplain } from './policy/explain.ts'
import { registerList } from './policy/list.ts'
import { registerReload } from './policy/reload.ts'
import { registerReplay } from './policy/replay.ts'
import { registerStatus } from './policy/status.ts'

/** Sub-commands, each in a file of its own. */
const parts: readonly ((policy: Command, context: CliContext) => void)[] = [
  registerCheck,
  registerShow,
  registerTest,
  registerExplain,
  registerList,
  registerStatus,
  registerReplay,
  registerReload,
]

export function register(program: Command, context: CliContext): void {
  const policy = program
    .command('policy')
    .description('judge, explain, test and reload the policy')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward policy check\n  doorward policy explain agent/planner tools/call github/get_issue\n  doorward policy reload',
    )
  for (const part of parts) part(policy, context)
}
