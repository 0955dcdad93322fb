/** `doorward workload export`: the registrations as `apply` reads them. */

import type { Command } from 'commander'
import { isReservedId, parseSpiffeId } from '@doorward/core'
import { workloadsYaml } from '../../config/workload-file.ts'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { administerWorkloads } from './refusal.ts'

export function registerExport(workload: Command, context: CliContext): void {
  workload
    .command('export')
    .description('print the registrations as doorward workload apply reads them; without parts of Doorward')
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward workload export > workloads.yaml')
    .action(({ as }: { readonly as?: string }) => printAll(context, as))
}

async function printAll(context: CliContext, as: string | undefined): Promise<void> {
  const { trustDomain } = await context.deployment()
  await administerWorkloads(context, as, async (client) => {
    const all = (await client.listWorkloads()).map(({ document }) => document)
    const own = all.filter(({ id }) => !isReservedId(parseSpiffeId(id)))
    if (context.json) context.out(JSON.stringify(own))
    else context.out(workloadsYaml(own, trustDomain).trimEnd())
  })
}
