/** `doorward authority`: runs it, invites its first operator, shows how it stands, and replaces its keys. */

import type { Command } from 'commander'
import { registerDelegate } from './authority/delegate.ts'
import { registerDrill } from './authority/drill.ts'
import { registerForget } from './authority/forget.ts'
import { registerInvite } from './authority/invite.ts'
import { registerRecover } from './authority/recover.ts'
import { registerReport } from './authority/report.ts'
import { registerRotate } from './authority/rotate.ts'
import { registerStatus } from './authority/status.ts'
import type { CliContext } from './context.ts'

export function register(program: Command, context: CliContext): void {
  const authority = program
    .command('authority')
    .description('the process that may hold signing keys')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward authority run\n  doorward authority status\n  doorward authority rotate',
    )
  authority
    .command('run')
    .description('run the authority alone; SIGTERM ends it')
    .option(
      '--after-restore',
      'the store is an older copy that was put back: repeat what the log knows, and begin a new epoch',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  doorward authority run --config /etc/doorward/doorward.yaml\n  doorward authority run --after-restore',
    )
    .action(async (options: { readonly afterRestore?: boolean }) =>
      (await import('./authority/run.ts')).runHere(context, options),
    )
  for (const part of [
    registerInvite,
    registerStatus,
    registerRotate,
    registerRecover,
    registerReport,
    registerDelegate,
    registerForget,
    registerDrill,
  ])
    part(authority, context)
}
