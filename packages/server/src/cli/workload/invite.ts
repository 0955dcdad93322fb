/** `doorward workload invite`: a new join string for a workload that is registered. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { invited, tellInvitation } from './join-file.ts'
import { idArgument, idOf } from './naming.ts'
import { administerWorkloads } from './refusal.ts'

interface InviteOptions {
  readonly as?: string
  readonly out?: string
  /** False with `--no-token`. */
  readonly token: boolean
}

export function registerInvite(workload: Command, context: CliContext): void {
  workload
    .command('invite')
    .description('print a new join string for a registered workload: one use, ten minutes')
    .argument(...idArgument)
    .option(
      '--no-token',
      'only where the authority is and how it is known: for workloads that prove themselves otherwise',
    )
    .option('--out <file>', 'write the join string to this file (mode 0600) instead of standard output')
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward workload invite agent/planner --out planner.join\n  doorward workload invite agent/ci --no-token --out ci.join',
    )
    .action((name: string, { as, out, token }: InviteOptions) =>
      administerWorkloads(context, as, async (client) => {
        const { uri: id } = await idOf(context, name)
        const { document } = await client.workload(id)
        const invitation = await invited(client, id, { out, ...(token ? {} : { withToken: false }) })
        tellInvitation(context, invitation, { id, roles: document.roles, out, done: `invited ${id}` })
      }),
    )
}
