/** `doorward servers list`: how much is approved of each server, and what is refused now. */

import type { Command } from 'commander'
import type { JsonObject } from '@doorward/core'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable, table } from '../output.ts'
import { textsIn } from '../policy/parts.ts'
import { askGateway } from './asking.ts'

export function registerList(servers: Command, context: CliContext): void {
  servers
    .command('list')
    .description('list the servers that are compared: how much is approved, and what is refused now')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward servers list\n  doorward servers list --json')
    .action(({ as }: { readonly as?: string }) => list(context, as))
}

async function list(context: CliContext, as: string | undefined): Promise<void> {
  const servers = await askGateway(context, as, (client) => client.servers())
  if (context.json) return context.out(JSON.stringify({ servers }))
  if (servers.length === 0) return context.out('no server is compared')
  context.out(table(['SERVER', 'APPROVAL', 'APPROVED', 'REFUSED', 'DIGEST'], servers.map(row), context.color))
  const paint = painter(context.color)
  for (const server of servers) {
    const refused = textsIn(server, 'unapproved')
    if (refused.length > 0)
      context.out(
        paint('yellow', `${textOf(server, 'server')}: refused: ${refused.map((one) => printable(one)).join(', ')}`),
      )
    const problem = textOf(server, 'problem')
    if (problem !== '') context.out(paint('red', `${textOf(server, 'server')}: cannot be asked: ${problem}`))
  }
}

function row(server: JsonObject): readonly string[] {
  const more = server['more'] === true ? '+' : ''
  return [
    textOf(server, 'server'),
    textOf(server, 'approval'),
    textOf(server, 'approved'),
    `${textsIn(server, 'unapproved').length}${more}`,
    textOf(server, 'digest').slice(0, 12),
  ]
}

function textOf(server: JsonObject, name: string): string {
  const value = server[name]
  return typeof value === 'string' || typeof value === 'number' ? printable(String(value)) : ''
}
