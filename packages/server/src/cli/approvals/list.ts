/** `doorward approvals list`: what waits, calls of one caller and one tool together. */

import type { Command } from 'commander'
import type { ApprovalView } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable, table } from '../output.ts'
import { askGateway } from '../servers/asking.ts'
import { remaining, subjectOf, targetOf } from './request-text.ts'

export function registerList(approvals: Command, context: CliContext): void {
  approvals
    .command('list')
    .description('list the calls that wait for the groups of approvers that you are in')
    .option(...asOption)
    .option('--all', 'those that were answered and are not used or over, too', false)
    .addHelpText('after', '\nExamples:\n  doorward approvals list\n  doorward approvals list --all --json')
    .action((options: { readonly as?: string; readonly all: boolean }) => list(context, options))
}

async function list(context: CliContext, { as, all }: { readonly as?: string; readonly all: boolean }): Promise<void> {
  const requests = await askGateway(context, as, (client) => client.approvals())
  const shown = requests.filter(({ state }) => all || state === 'pending')
  if (context.json) return context.out(JSON.stringify({ requests: shown.map(({ document }) => document) }))
  if (shown.length === 0) return context.out('nothing waits for you')
  const paint = painter(context.color)
  for (const [subject, some] of Map.groupBy(shown, subjectOf)) {
    const [first] = some
    if (first === undefined) continue
    const count = some.length === 1 ? '' : `  × ${some.length}`
    context.out(`${paint('bold', printable(first.caller))}  ${printable(first.action)} ${targetOf(first)}${count}`)
    context.out(table(['  REQUEST', 'STATE', 'APPROVERS', 'OVER IN'], some.map(row), context.color))
    if (some.length > 1)
      context.out(paint('dim', `  all of these at once: doorward approvals approve --group ${subject}`))
  }
}

function row(request: ApprovalView): readonly string[] {
  const { id, state, approvers, given } = request
  const open = approvers.map((group) => (given.includes(group) ? `${group} ✓` : group))
  return [`  ${id}`, state, printable(open.join(', ')), remaining(request)]
}
