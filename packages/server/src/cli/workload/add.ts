/** `doorward workload add`: one workload, and a join string for it. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { givenContent, withContentOptions } from './content-options.ts'
import type { ContentOptions } from './content-options.ts'
import { invited, tellInvitation } from './join-file.ts'
import { idArgument, idOf } from './naming.ts'
import { administerWorkloads } from './refusal.ts'
import { warnOfUnknown } from './warnings.ts'

interface AddOptions extends ContentOptions {
  readonly as?: string
  readonly again: boolean
  readonly out?: string
}

export function registerAdd(workload: Command, context: CliContext): void {
  const add = workload
    .command('add')
    .description('register a workload and print a join string for it: one use, ten minutes')
    .argument(...idArgument)
  withContentOptions(add, { removing: false })
    .option('--again', 'the id was removed before, and the same workload returns', false)
    .option('--out <file>', 'write the join string to this file (mode 0600) instead of standard output')
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward workload add agent/planner --role reader --out planner.join\n  doorward workload add agent/planner | doorward join\n  doorward workload add agent/ci --attest oidc:github,repository=acme/x',
    )
    .action((name: string, options: AddOptions) => addWorkload(context, name, options))
}

async function addWorkload(context: CliContext, name: string, options: AddOptions): Promise<void> {
  const { roles = [], ...content } = givenContent(options)
  const id = await idOf(context, name)
  await warnOfUnknown(context, [{ roles, ...content }])
  const { out } = options
  await administerWorkloads(context, options.as, async (client) => {
    const again = options.again ? { again: true } : {}
    const prepare = () => client.addWorkload(id.uri, roles, { ...content, ...again })
    const invitation = await invited(client, id.uri, { out, prepare })
    const done = `registered ${id.uri}${roles.length === 0 ? ', without a role' : ` as ${roles.join(', ')}`}`
    tellInvitation(context, invitation, { id: id.uri, roles, out, done })
  })
}
