/** `doorward tools`: what one server offers to this identity. The gateway shows an item exactly when some call of it could be allowed. */

import type { Command } from 'commander'
import type { JsonObject } from '@doorward/core'
import type { CliContext } from './context.ts'
import { asOption, asUserOption, callerText, noUserOption, onBehalfOf, userOf } from './identity-option.ts'
import type { UserOptions } from './identity-option.ts'
import { painter, printable, table } from './output.ts'
import { onServer } from './server-session.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('tools')
    .description('list the tools of a server that this identity may call')
    .argument('<server>', 'name under servers: in the configuration')
    .option(...asOption)
    .option(...asUserOption)
    .option(...noUserOption)
    .addHelpText('after', '\nExample:\n  doorward tools files')
    .action((server: string, options: UserOptions & { readonly as?: string }) =>
      onServer(context, { server, as: options.as, onBehalf: onBehalfOf(options) }, async (identity, client) => {
        const listed = await client.list('tools/list', 'tools')
        const user = await userOf(identity)
        if (context.json) context.out(JSON.stringify({ identity: identity.id.uri, ...user, server, tools: listed }))
        else show(context, { server, identity: await callerText(identity), listed })
      }),
    )
}

function show(
  context: CliContext,
  { server, identity, listed }: { server: string; identity: string; listed: readonly JsonObject[] },
): void {
  const paint = painter(context.color)
  context.err(paint('dim', `as ${identity}`))
  if (listed.length === 0) {
    context.out(`${server} offers nothing to this identity`)
    return
  }
  const rows = listed.map((tool) => [printable(textOf(tool['name'])), parameters(tool['inputSchema']), summary(tool)])
  context.out(table(['TOOL', 'ARGUMENTS', 'WHAT IT DOES'], rows, context.color))
}

/** Names of the arguments, optional ones in brackets. */
function parameters(schema: JsonObject[string] | undefined): string {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return ''
  const { properties, required } = schema as JsonObject
  const needed = new Set(Array.isArray(required) ? required : [])
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
  return printable(names.map((name) => (needed.has(name) ? name : `[${name}]`)).join(' ')).slice(0, 60)
}

function summary(tool: JsonObject): string {
  const [first = ''] = textOf(tool['description']).split('\n')
  const line = printable(first)
  return line.length > 80 ? `${line.slice(0, 79)}…` : line
}

function textOf(value: JsonObject[string] | undefined): string {
  return typeof value === 'string' ? value : ''
}
