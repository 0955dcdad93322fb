/**
 * `doorward authority invite`: a join string for an operator, from the machine and the user that the authority runs as. No
 * identity is needed: it is how the first operator comes to have one.
 */

import type { Command } from 'commander'
import type { InvitationRefused } from '../../apps/authority-invitation-request.ts'
import { stateFolders } from '../../config/settings.ts'
import type { CliContext } from '../context.ts'
import { CheckFailed } from '../failure.ts'
import { invited, tellInvitation } from '../workload/join-file.ts'
import { idOf } from '../workload/naming.ts'

interface InviteOptions {
  readonly role: string
  readonly breakGlass?: string
  readonly out?: string
}

export function registerInvite(authority: Command, context: CliContext): void {
  authority
    .command('invite')
    .description('invite the first operator, on the machine of a running authority: one use, ten minutes')
    .argument('<id>', 'operator/alice, or a full SPIFFE ID')
    .option('--role <name>', 'a role of operators', 'admin')
    .option('--break-glass <reason>', 'invite one more although others could act; the reason goes on record')
    .option('--out <file>', 'write the join string to this file (mode 0600) instead of standard output')
    .addHelpText(
      'after',
      "\nExamples:\n  doorward authority invite operator/alice --out alice.join\n  doorward authority invite operator/bob --break-glass 'alice is gone, ticket 4711' --out bob.join",
    )
    .action((name: string, options: InviteOptions) => invite(context, name, options))
}

async function invite(context: CliContext, name: string, { role, breakGlass, out }: InviteOptions): Promise<void> {
  const { InvitationRefused, requestInvitation } = await import('../../apps/authority-invitation-request.ts')
  const { uri: id } = await idOf(context, name)
  const { authority: stateDir } = stateFolders((await context.deployment()).stateDir)
  let told = { roles: [role] as readonly string[], by: '' }
  const ask = async () => {
    try {
      const { joinString, expiresAt, ...rest } = await requestInvitation(stateDir, {
        id,
        role,
        reason: breakGlass ?? null,
      })
      told = rest
      return { joinString, expiresAt }
    } catch (error) {
      throw error instanceof InvitationRefused ? explained(error) : error
    }
  }
  const invitation = await invited({ invite: ask }, id, { out })
  const { roles, by } = told
  const done = `invited ${id} as ${roles.join(', ')}; on the record and among the alarms, as by ${by}`
  tellInvitation(context, invitation, { id, roles, out, done })
}

function explained({ code, message, details }: InvitationRefused): CheckFailed {
  const { reason, operators, roles } = details
  switch (typeof reason === 'string' ? reason : '') {
    case 'operator_present':
      return new CheckFailed('operator_present', 'there is an operator who can invite', {
        ...listed(operators),
        next: 'have that operator run doorward workload add ID --role admin; when nobody can: --break-glass REASON',
      })
    case 'role':
      return new CheckFailed('role_powerless', 'whoever has this role administers nothing', {
        ...(Array.isArray(roles) ? { expected: roles.join(' or ') || 'a role with the permission admin or *' } : {}),
        next: 'name a role of operators with --role, or define one in the configuration of the authority',
      })
    case 'not_operator':
    case 'removed':
      return new CheckFailed(reason === 'removed' ? 'workload_removed' : 'workload_exists', message, {
        next: 'invite the operator under an id that was not used yet',
      })
    default:
      return new CheckFailed(code, message)
  }
}

function listed(operators: unknown): { readonly got?: string } {
  return Array.isArray(operators) ? { got: operators.join(', ') } : {}
}
