/** `doorward secret list`: which secrets there are, for whom, and which have no value. */

import type { Command } from 'commander'
import type { JsonObject } from '@doorward/core'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable, table } from '../output.ts'
import { textsIn } from '../policy/parts.ts'
import { askGateway } from '../servers/asking.ts'

export function registerList(secret: Command, context: CliContext): void {
  secret
    .command('list')
    .description('list the secrets of the gateway: where each is kept, its version, who may use it')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward secret list\n  doorward secret list --json')
    .action(({ as }: { readonly as?: string }) => list(context, as))
}

const HEAD = ['SECRET', 'SOURCE', 'VERSION', 'CHANGED', 'SERVERS', 'ROLES', 'PROBLEM'] as const

async function list(context: CliContext, as: string | undefined): Promise<void> {
  const secrets = await askGateway(context, as, (client) => client.secrets())
  if (context.json) return context.out(JSON.stringify({ secrets }))
  if (secrets.length === 0) return context.out('no secret is declared')
  context.out(
    table(
      HEAD,
      secrets.map((secret) => row(secret, context.color)),
      context.color,
    ),
  )
}

function row(secret: JsonObject, color: boolean): readonly string[] {
  const { changed } = secret
  const paint = painter(color)
  const roles = secret['roles'] === null ? 'any' : textsIn(secret, 'roles').join(', ')
  return [
    textOf(secret, 'name'),
    textOf(secret, 'source'),
    textOf(secret, 'version'),
    typeof changed === 'number' ? new Date(changed * 1000).toISOString().slice(0, 19) + 'Z' : '',
    printable(textsIn(secret, 'servers').join(', ')),
    printable(roles),
    paint('red', textOf(secret, 'problem')),
  ]
}

function textOf(secret: JsonObject, name: string): string {
  const value = secret[name]
  return typeof value === 'string' ? printable(value) : ''
}
