/** `doorward workload set`: changes a registration, after showing what changes. */

import type { Command } from 'commander'
import { DoorwardError, sortedAttestations, workloadChanges } from '@doorward/core'
import type { WorkloadDocument } from '@doorward/core'
import type { AdminClient } from '@doorward/sdk'
import { confirmed } from '../confirmation.ts'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { stepLines } from './change-view.ts'
import { givenContent, withContentOptions } from './content-options.ts'
import type { ContentOptions } from './content-options.ts'
import { idArgument, idOf } from './naming.ts'
import { administerWorkloads } from './refusal.ts'
import { warnOfUnknown } from './warnings.ts'

interface SetOptions extends ContentOptions {
  readonly as?: string
  readonly yes: boolean
  readonly dryRun: boolean
}

export function registerSet(workload: Command, context: CliContext): void {
  const set = workload
    .command('set')
    .description('change a workload; roles bite at once, also on open connections')
    .argument(...idArgument)
  withContentOptions(set, { removing: true })
    .option('--yes', 'change without asking', false)
    .option('--dry-run', 'show the change and make none; exit 1 when there is one', false)
    .option(...asOption)
    .addHelpText(
      'after',
      '\nA list replaces the one that is there. Names and lifetime are those of the next certificate.\n\nExamples:\n  doorward workload set agent/planner --role reader writer\n  doorward workload set agent/planner --no-role --yes',
    )
    .action((name: string, options: SetOptions) => change(context, name, options))
}

async function change(context: CliContext, name: string, options: SetOptions): Promise<void> {
  const given = givenContent(options)
  if (Object.keys(given).length === 0)
    throw new DoorwardError('usage', 'nothing is to be changed', { next: 'doorward workload set --help' })
  const { uri: id } = await idOf(context, name)
  await warnOfUnknown(context, [given])
  await administerWorkloads(context, options.as, (client) => changeAs(context, client, { id, given, options }))
}

interface Wanted {
  readonly id: string
  readonly given: Partial<WorkloadDocument>
  readonly options: SetOptions
}

async function changeAs(context: CliContext, client: AdminClient, { id, given, options }: Wanted): Promise<void> {
  const { document: before, revision } = await client.workload(id)
  const document = sorted({ ...before, ...given })
  const changes = workloadChanges(before, document)
  const { trustDomain } = await context.deployment()
  if (!context.json && changes.length > 0)
    for (const line of stepLines(
      { action: 'change', document, before, revision, changes },
      { trustDomain, color: context.color },
    ))
      context.err(line)
  const wanted = changes.length > 0 && !options.dryRun
  const changed = wanted && (options.yes || (await confirmed(context, 'change this?')))
  if (changed) await client.updateWorkload(document, revision)
  if (options.dryRun && changes.length > 0) context.fail()
  if (context.json) context.out(JSON.stringify({ id, changes, changed }))
  else context.out(changed ? `changed ${id}` : changes.length === 0 ? `${id} is so already` : 'nothing was changed')
}

/** The order of lists means nothing; the authority keeps them sorted. */
function sorted(document: WorkloadDocument): WorkloadDocument {
  return {
    ...document,
    roles: document.roles.toSorted(),
    dns_names: document.dns_names.toSorted(),
    ip_addresses: document.ip_addresses.toSorted(),
    attest: sortedAttestations(document.attest),
    audiences: document.audiences.toSorted(),
  }
}
