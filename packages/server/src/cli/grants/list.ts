/** `doorward grants list`: who has granted what, and until when the tokens are good. */

import type { Command } from 'commander'
import type { JsonObject } from '@doorward/core'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { printable, table } from '../output.ts'
import { textsIn } from '../policy/parts.ts'
import { askGateway } from '../servers/asking.ts'

export function registerList(grants: Command, context: CliContext): void {
  grants
    .command('list')
    .description('list what people have granted: for which server, which scopes, until when')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward grants list\n  doorward grants list --json')
    .action(({ as }: { readonly as?: string }) => list(context, as))
}

const HEAD = ['GRANT', 'PERSON', 'SERVER', 'AUTHORIZATION SERVER', 'SCOPES', 'SINCE', 'TOKENS END'] as const

async function list(context: CliContext, as: string | undefined): Promise<void> {
  const grants = await askGateway(context, as, (client) => client.grants())
  if (context.json) return context.out(JSON.stringify({ grants }))
  if (grants.length === 0) return context.out('nobody has granted anything')
  context.out(table(HEAD, grants.map(row), context.color))
}

function row(grant: JsonObject): readonly string[] {
  const end = timeOf(grant, 'expires')
  return [
    textOf(grant, 'id'),
    textOf(grant, 'user'),
    textOf(grant, 'server'),
    textOf(grant, 'authorization_server'),
    printable(textsIn(grant, 'scopes').join(' ')),
    timeOf(grant, 'since'),
    grant['refreshable'] === true ? `${end}, then refreshed` : end,
  ]
}

export function textOf(value: JsonObject, name: string): string {
  const text = value[name]
  return typeof text === 'string' ? printable(text) : ''
}

function timeOf(grant: JsonObject, name: string): string {
  const value = grant[name]
  return typeof value === 'number' ? new Date(value * 1000).toISOString().slice(0, 19) + 'Z' : ''
}
