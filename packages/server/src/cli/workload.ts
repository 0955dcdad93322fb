/** `doorward workload`: who may have an identity, with which roles and by which proof. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { registerAdd } from './workload/add.ts'
import { registerApply } from './workload/apply.ts'
import { registerExport } from './workload/export.ts'
import { registerInstances } from './workload/instances.ts'
import { registerInvite } from './workload/invite.ts'
import { registerKey } from './workload/key.ts'
import { registerList } from './workload/list.ts'
import { registerRemove } from './workload/remove.ts'
import { registerSet } from './workload/set.ts'
import { registerShow } from './workload/show.ts'

export function register(program: Command, context: CliContext): void {
  const workload = program
    .command('workload')
    .description('register, show, change and remove workloads')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward workload add agent/planner --role reader\n  doorward workload list\n  doorward workload apply -f workloads.yaml',
    )
  for (const part of [
    registerAdd,
    registerList,
    registerShow,
    registerSet,
    registerInvite,
    registerKey,
    registerRemove,
    registerInstances,
    registerApply,
    registerExport,
  ])
    part(workload, context)
}
