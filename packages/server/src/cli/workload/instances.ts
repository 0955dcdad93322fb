/** `doorward workload lock` and `unlock`: one instance of a workload, while the others go on. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter } from '../output.ts'
import { idArgument, idOf } from './naming.ts'
import { administerWorkloads } from './refusal.ts'

interface InstanceOptions {
  readonly as?: string
  readonly reason: string
}

const instanceArgument = ['<instance>', 'as doorward workload show tells it'] as const
const reasonOption = ['--reason <text>', 'why, for the record', 'by an operator'] as const

export function registerInstances(workload: Command, context: CliContext): void {
  workload
    .command('lock')
    .description('lock one instance: what it holds is refused, and it cannot return')
    .argument(...idArgument)
    .argument(...instanceArgument)
    .option(...reasonOption)
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExample:\n  doorward workload lock agent/planner 5f0c9a1be2d34c77 --reason "laptop stolen"',
    )
    .action((name: string, instance: string, { as, reason }: InstanceOptions) =>
      administerWorkloads(context, as, async (client) => {
        const { uri: id } = await idOf(context, name)
        await client.lockInstance(id, instance, reason)
        tell(context, { locked: instance, id }, `locked instance ${instance} of ${id}: what it holds is refused`)
      }),
    )
  workload
    .command('unlock')
    .description('forget one instance, locked or not: what it holds is refused, and it may join anew')
    .argument(...idArgument)
    .argument(...instanceArgument)
    .option(...reasonOption)
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward workload unlock agent/planner 5f0c9a1be2d34c77')
    .action((name: string, instance: string, { as, reason }: InstanceOptions) =>
      administerWorkloads(context, as, async (client) => {
        const { uri: id } = await idOf(context, name)
        await client.removeInstance(id, instance, reason)
        tell(context, { removed: instance, id }, `forgot instance ${instance} of ${id}: it may join anew`)
      }),
    )
}

function tell(context: CliContext, answer: object, text: string): void {
  context.out(context.json ? JSON.stringify(answer) : `${painter(context.color)('green', '✓')} ${text}`)
}
