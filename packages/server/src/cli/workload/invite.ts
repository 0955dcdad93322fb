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
}

export function registerInvite(workload: Command, context: CliContext): void {
  workload
    .command('invite')
    .description('print a new join string for a registered workload: one use, ten minutes')
    .argument(...idArgument)
    .option('--out <file>', 'write the join string to this file (mode 0600) instead of standard output')
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward workload invite agent/planner --out planner.join')
    .action((name: string, { as, out }: InviteOptions) =>
      administerWorkloads(context, as, async (client) => {
        const { uri: id } = await idOf(context, name)
        const { document } = await client.workload(id)
        const invitation = await invited(client, id, { out })
        tellInvitation(context, invitation, { id, roles: document.roles, out, done: `invited ${id}` })
      }),
    )
}
