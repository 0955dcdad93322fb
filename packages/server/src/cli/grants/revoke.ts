/** `doorward grants revoke`: nobody is given the tokens from then on, and the provider is told. */

import type { Command } from 'commander'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { CliContext } from '../context.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import { painter } from '../output.ts'
import { askGateway } from '../servers/asking.ts'
import { textOf } from './list.ts'

interface RevokeOptions {
  readonly as?: string
  readonly user?: string
}

export function registerRevoke(grants: Command, context: CliContext): void {
  grants
    .command('revoke [grant]')
    .description('take away one grant, or all of a person: they are asked again the next time')
    .option('--user <name>', 'all of this person, as the list has them')
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward grants revoke 0123456789abcdef0123456789abcdef\n  doorward grants revoke --user "https://login.acme.example#ada"',
    )
    .action((grant: string | undefined, options: RevokeOptions) => revoke(grant, options, context))
}

function whatOf(id: string | undefined, user: string | undefined) {
  if (id !== undefined && user === undefined) return { id }
  if (user !== undefined && id === undefined) return { user }
  throw new DoorwardError('usage', 'expected a grant, or a person', {
    expected: 'one of GRANT and --user',
    got: id === undefined ? 'neither' : 'both',
    next: 'doorward grants list',
  })
}

async function revoke(id: string | undefined, { as, user }: RevokeOptions, context: CliContext): Promise<void> {
  const what = whatOf(id, user)
  const grants = await askGateway(context, as, (client) =>
    client.revokeGrants(what).catch((error: unknown) => {
      if (isDoorwardError(error, 'resource_unknown')) throw new CheckFailed('grant_missing', 'there is no such grant')
      throw error
    }),
  )
  if (context.json) return context.out(JSON.stringify({ revoked: grants }))
  const paint = painter(context.color)
  for (const grant of grants)
    context.out(
      `${paint('green', '✓')} took away ${textOf(grant, 'id')} of ${textOf(grant, 'user')} for ${textOf(grant, 'server')}`,
    )
}
