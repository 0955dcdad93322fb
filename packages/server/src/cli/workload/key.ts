/** `doorward workload key`: the key of a workload on this machine, made before it joins, so that it can be registered. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { painter } from '../output.ts'
import { idArgument, idOf } from './naming.ts'

export function registerKey(workload: Command, context: CliContext): void {
  workload
    .command('key')
    .description('show the thumbprint of the machine key that this machine has for a workload; makes the key')
    .argument(...idArgument)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward workload key agent/planner\n  doorward workload add agent/planner --attest bound_key:THUMBPRINT --out planner.join',
    )
    .action((name: string) => showKey(context, name))
}

async function showKey(context: CliContext, name: string): Promise<void> {
  const { prepareLocalKey } = await import('../../apps/local-identities.ts')
  const id = await idOf(context, name)
  const place = { deployment: await context.deployment(), environment: context.environment }
  const { thumbprint, folder } = await prepareLocalKey(place, id)
  if (context.json) context.out(JSON.stringify({ id: id.uri, thumbprint, folder }))
  else {
    context.err(painter(context.color)('dim', `  the key lies sealed in ${folder}; register its thumbprint:`))
    context.out(thumbprint)
  }
}
