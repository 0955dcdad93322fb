/** `doorward gateway reload`: the gateway reads its whole configuration anew, and the authority what it goes by. */

import type { Command } from 'commander'
import type { JsonObject } from '@doorward/core'
import type { CliContext } from './context.ts'
import { asIdentity, asOption } from './identity-option.ts'
import { painter, printable } from './output.ts'
import { askPart, objectIn, textsIn } from './policy/parts.ts'
import type { PartAnswer } from './policy/parts.ts'
import { changes, shownPolicy } from './policy/reload.ts'

export function registerGatewayReload(gateway: Command, context: CliContext): void {
  gateway
    .command('reload')
    .description(
      'have the gateway read its whole configuration anew; sessions and calls go on, a mistake changes nothing',
    )
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward gateway reload\n  doorward gateway reload --json\n\nServers, limits, policy, issuers, the edge, decisions, tracing, detections, alerts, exports and what is kept change at once. What stands until\nthe next start is named with its line, and then nothing changes. Audiences of new servers reach the authority too.',
    )
    .action(({ as }: { readonly as?: string }) => reload(context, as))
}

async function reload(context: CliContext, as: string | undefined): Promise<void> {
  const deployment = await context.deployment()
  const answers = await asIdentity(context, as, async (identity) => {
    const gateway = await askPart('gateway', { identity, deployment }, (client) => client.reloadConfiguration())
    // Tokens are for the servers that there are: a gateway that refuses has no other ones.
    if (failed(gateway)) return [gateway]
    return [gateway, await askPart('authority', { identity, deployment }, (client) => client.reloadPolicy())]
  })
  if (context.json) context.out(JSON.stringify({ parts: answers }))
  else for (const line of answers.flatMap((answer) => shown(answer, context.color))) context.out(line)
  if (answers.some(failed)) context.fail()
}

function failed(told: PartAnswer): boolean {
  return 'error' in told || told.answer['outcome'] === 'refused'
}

function shown(told: PartAnswer, color: boolean): readonly string[] {
  if (told.part === 'authority' || 'error' in told) return shownPolicy(told, color)
  const paint = painter(color)
  const { answer } = told
  const elsewhere = textsIn(objectIn(answer, 'elsewhere'), 'named').map((key) =>
    paint('yellow', `  counts from the next start of the ${reader(key)}: ${printable(key)}`),
  )
  if (answer['outcome'] === 'unchanged') return [`${paint('green', '✓')} gateway   unchanged`, ...elsewhere]
  if (answer['outcome'] === 'changed')
    return [
      `${paint('green', '✓')} gateway   changed, now ${digestText(objectIn(answer, 'to'))}`,
      ...textsIn(objectIn(answer, 'keys'), 'named').map((key) => `  ~ ${printable(key)}`),
      ...servers(objectIn(answer, 'servers')),
      ...changes(objectIn(answer, 'policy')),
      ...elsewhere,
    ]
  return [
    paint('red', `✗ gateway   refused, still ${digestText(objectIn(answer, 'kept'))}`),
    ...textsIn(answer, 'problems').map((text) => `  ${printable(text)}`),
  ]
}

function reader(key: string): string {
  return key.startsWith('workload_api') ? 'agent' : 'authority'
}

const verbs = { added: 'is served', removed: 'is gone, its sessions have ended', changed: 'begins anew' } as const

function servers(told: JsonObject): readonly string[] {
  return Object.entries(verbs).flatMap(([how, verb]) =>
    textsIn(objectIn(told, how), 'named').map((name) => `  server ${printable(name)} ${verb}`),
  )
}

function digestText({ digest }: JsonObject): string {
  return typeof digest === 'string' ? `${digest.slice(0, 12)}…` : 'none'
}
