/** `doorward approvals show`: one call that waits, with its arguments. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { askGateway } from '../servers/asking.ts'
import { requestLines } from './request-text.ts'

export function registerShow(approvals: Command, context: CliContext): void {
  approvals
    .command('show <id>')
    .description('show a call that waits: who calls, for whom, what, with which arguments')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward approvals show ap-3f0c…\n  doorward approvals show ap-3f0c… --json')
    .action((id: string, { as }: { readonly as?: string }) => show(id, as, context))
}

async function show(id: string, as: string | undefined, context: CliContext): Promise<void> {
  const request = await askGateway(context, as, (client) => client.approval(id))
  if (context.json) return context.out(JSON.stringify(request.document))
  for (const line of requestLines(request, context.color)) context.out(line)
}
