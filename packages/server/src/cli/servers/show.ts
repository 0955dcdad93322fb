/** `doorward servers show`: what a server says now, beside what is approved. */

import type { Command } from 'commander'
import type { DefinitionsAnswer } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { askGateway } from './asking.ts'
import { definitionLines } from './definition-text.ts'

export function registerShow(servers: Command, context: CliContext): void {
  servers
    .command('show <server>')
    .description('ask a server what it defines, and show what is different from what is approved')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward servers show files\n  doorward servers show files --json')
    .action((server: string, { as }: { readonly as?: string }) => show(server, as, context))
}

async function show(server: string, as: string | undefined, context: CliContext): Promise<void> {
  const answer = await askGateway(context, as, (client) => client.definitions(server))
  if (context.json) return context.out(JSON.stringify(answer))
  await tellDefinitions(server, answer, context)
  context.out(`digest ${answer.digest}`)
}

/** For people. */
export async function tellDefinitions(server: string, answer: DefinitionsAnswer, context: CliContext): Promise<void> {
  const { configuration } = await context.deployment()
  const effects = configuration.servers[server]?.effects
  const declared = effects === undefined ? [] : [...effects.read, ...effects.write, ...effects.admin]
  for (const line of definitionLines(answer, declared, context.color)) context.out(line)
}
