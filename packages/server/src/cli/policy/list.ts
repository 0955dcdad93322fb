/** `doorward policy list --for`: everything that somebody may do, by what is known of the servers. */

import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import { behalfOf, openPolicy, permittedBy } from '../../apps/policy-tools.ts'
import type { Permitted } from '../../apps/policy-tools.ts'
import type { CliContext } from '../context.ts'
import { painter, printable, table } from '../output.ts'
import { groupOption, moment, registeredRoles, roleOption } from './asking.ts'

interface ListOptions {
  readonly for: string
  readonly role?: readonly string[]
  readonly behalf?: string
  readonly group?: readonly string[]
  readonly at?: number
  readonly from?: string
  readonly all?: boolean
}

export function registerList(policy: Command, context: CliContext): void {
  policy
    .command('list')
    .description(
      'list everything that a workload or a user may do: tools that are known, kinds of items of servers, our own API',
    )
    .requiredOption('--for <principal>', 'the workload: agent/planner, or a SPIFFE ID; or a user: <issuer>#<subject>')
    .addOption(roleOption())
    .option('--behalf <user|workload>', 'for whom it acts: <issuer>#<subject>, or a workload')
    .addOption(groupOption())
    .option('--at <time>', 'when; at any time without it', moment)
    .option('--from <address>', 'from where; from anywhere without it')
    .option('--all', 'what it may not do as well')
    .addHelpText('after', '\nExample:\n  doorward policy list --for agent/planner --role writer')
    .action((options: ListOptions) => list(context, options))
}

async function list(context: CliContext, options: ListOptions): Promise<void> {
  const open = await openPolicy(await context.deployment())
  const user = options.for.includes('#')
  const behalf = user ? options.for : options.behalf
  if (user && options.behalf !== undefined)
    throw new DoorwardError('usage', 'a user acts for nobody else', {
      expected: 'a workload with --for',
      got: options.for,
    })
  const found = permittedBy(open, {
    presenter: user ? null : options.for,
    roles: options.role ?? [],
    behalf: behalf === undefined ? null : behalfOf(behalf, options.group ?? []),
    timeSeconds: options.at ?? null,
    address: options.from ?? null,
  })
  const shown = options.all === true ? found.items : found.items.filter(({ verdict }) => verdict !== 'deny')
  if (context.json) {
    const { principal, roles } = found
    context.out(JSON.stringify({ principal, roles, items: shown.map(jsonOf), note: registeredRoles }))
    return
  }
  const paint = painter(context.color)
  const roles = found.roles.length === 0 ? 'without roles' : `with the roles ${found.roles.join(', ')}`
  context.err(paint('dim', `${printable(found.principal)} ${printable(roles)}`))
  if (options.role === undefined && !user) context.err(paint('dim', registeredRoles))
  if (shown.length === 0) context.out('nothing')
  else
    context.out(table(['ITEM', 'ACTIONS', 'EFFECT', 'ANSWER', 'WHY'], shown.map(rowOf(context.color)), context.color))
}

function jsonOf({ item, known, actions, group, verdict, dependsOn, permits, forbids, failing }: Permitted): object {
  return { item, known, actions, effect: group, verdict, depends_on: dependsOn, permits, forbids, failing }
}

function rowOf(color: boolean): (one: Permitted) => readonly string[] {
  const paint = painter(color)
  const answers = { allow: paint('green', 'allow'), depends: paint('yellow', 'depends'), deny: paint('red', 'deny') }
  return ({ item, actions, group, verdict, dependsOn, permits, forbids, failing }) => {
    const answer =
      dependsOn.length === 0 ? answers[verdict] : `${answers[verdict]} on ${printable(dependsOn.join(', '))}`
    const why = [...permits, ...forbids.map((id) => `forbidden by ${id}`), ...failing.map((id) => `may fail: ${id}`)]
    return [printable(item), few(actions), group, answer, printable(few(why)) || '–']
  }
}

const MAX_NAMED = 3

function few(names: readonly string[]): string {
  const more = names.length - MAX_NAMED
  return more > 0 ? `${names.slice(0, MAX_NAMED).join(', ')} and ${more} more` : names.join(', ')
}
