/** `doorward authority`: runs it, and replaces its keys. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'

export function register(program: Command, context: CliContext): void {
  const authority = program
    .command('authority')
    .description('the process that may hold signing keys')
    .addHelpText('after', '\nExample:\n  doorward authority run')
  authority
    .command('run')
    .description('run the authority alone; SIGTERM ends it')
    .addHelpText('after', '\nExample:\n  doorward authority run --config /etc/doorward/doorward.yaml')
    .action(async () => (await import('./authority/run.ts')).runHere(context))
}
