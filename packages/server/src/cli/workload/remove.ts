/** `doorward workload remove`: what an identity holds is refused from now on. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter } from '../output.ts'
import { counted } from './change-view.ts'
import { idArgument, idOf } from './naming.ts'
import { administerWorkloads } from './refusal.ts'

export function registerRemove(workload: Command, context: CliContext): void {
  workload
    .command('remove')
    .description('remove a workload: its certificates and tokens are refused from now on')
    .argument(...idArgument)
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward workload remove agent/planner')
    .action((name: string, { as }: { readonly as?: string }) => remove(context, name, as))
}

async function remove(context: CliContext, name: string, as: string | undefined): Promise<void> {
  const { uri: id } = await idOf(context, name)
  await administerWorkloads(context, as, async (client) => {
    const { instances, certificates, joinTokens } = await client.removeWorkload(id)
    if (context.json) {
      const ended = { instances, certificates, join_tokens: joinTokens }
      context.out(JSON.stringify({ removed: id, ended }))
      return
    }
    const paint = painter(context.color)
    const ended = [
      counted(instances, 'instance'),
      counted(certificates, 'live certificate'),
      counted(joinTokens, 'unused join string'),
    ]
    context.out(`${paint('green', '✓')} removed ${id}: its certificates and tokens are refused from now on`)
    context.out(paint('dim', `  ended: ${ended.join(', ')}; the id is not given to another workload`))
  })
}
