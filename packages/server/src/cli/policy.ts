/** `doorward policy`: judges, explains, tests and reloads what decides. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'

/** Sub-commands, each in a file of its own. */
const parts: readonly ((policy: Command, context: CliContext) => void)[] = []

export function register(program: Command, context: CliContext): void {
  const policy = program
    .command('policy')
    .description('judge, explain, test and reload the policy')
    .addHelpText('after', '\nExample:\n  doorward policy --help')
  for (const part of parts) part(policy, context)
}
