/** `doorward audit redact`: what one entry says is taken away by the process that writes its log. */

import { join } from 'node:path'
import type { Command } from 'commander'
import { AdminClient, ServerRefused } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { forgetInProcessLogs } from '../apps/process-log-redaction.ts'
import { gatewayAdminAudience } from '../config/settings.ts'
import { logOfOrigin, readEntryName } from './audit-places.ts'
import { confirmed } from './confirmation.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { asIdentity, asOption } from './identity-option.ts'
import { painter } from './output.ts'

interface RedactOptions {
  readonly reason: string
  readonly yes: boolean
  readonly as?: string
}

export function registerRedact(audit: Command, context: CliContext): void {
  audit
    .command('redact')
    .description('take away what one entry says, for good; its place, time and digest stay, and that it was done')
    .argument('<id>', 'the id of the entry, which answers and logs call the decision')
    .requiredOption('--reason <text>', 'why, for the record; without what is to go')
    .option('-y, --yes', 'without asking', false)
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExample:\n  doorward audit redact example.org/gateway/main#17 --reason "a tool had a password in its name" --yes',
    )
    .action((id: string, options: RedactOptions) => redact(id, options, context))
}

async function redact(id: string, { reason, yes, as }: RedactOptions, context: CliContext): Promise<void> {
  const { origin, index } = readEntryName(id)
  const entry = `${origin}#${index}`
  const { place } = await logOfOrigin(context, origin)
  if (!yes && !(await confirmed(context, `take away what ${entry} says, for good?`, 'say that it is meant with --yes')))
    throw new CheckFailed('not_confirmed', 'nothing was redacted')
  await asIdentity(context, as, async (identity) => {
    const client = await writerOf(place.name, identity, context)
    const answer = await client.redact(entry, reason).catch((error: unknown) => {
      throw explained(error, entry)
    })
    const { stateDir } = await context.deployment()
    const logs = await forgetInProcessLogs(join(stateDir, 'logs'), entry)
    const paint = painter(context.color)
    const by = typeof answer['by_entry'] === 'string' ? answer['by_entry'] : 'its log'
    if (context.json) context.out(JSON.stringify({ ...answer, process_log_lines: logs.lines, unread: logs.unread }))
    else context.out(`${paint('green', '✓')} what ${entry} said is gone; ${by} says so`)
    for (const path of logs.unread) context.err(paint('yellow', `too long to look through, may still name it: ${path}`))
  })
}

/** The admin API of the part that writes a log of this machine. */
async function writerOf(name: string, identity: Identity, context: CliContext): Promise<AdminClient> {
  const deployment = await context.deployment()
  const { authority, gateway } = deployment
  if (name === 'gateway') {
    const audience = gatewayAdminAudience(deployment)
    return new AdminClient(identity, { url: gateway.adminUrl, audience, expectedId: gateway.id })
  }
  return new AdminClient(identity, {
    url: authority.adminUrl,
    audience: authority.publicUrl,
    expectedId: authority.id,
  })
}

const words: Readonly<Record<string, string>> = {
  entry_unsigned: 'no checkpoint covers the entry yet; try again in a second',
  payload_absent: 'what the entry says is gone already',
  entry_protected: 'the record itself depends on entries of this kind; only calls and alarms can be redacted',
}

function explained(error: unknown, entry: string): unknown {
  if (!(error instanceof ServerRefused)) return error
  const reason = error.details?.['reason']
  const message = typeof reason === 'string' ? words[reason] : undefined
  if (error.code === 'resource_unknown')
    return new CheckFailed('entry_unknown', 'there is no such entry', { where: entry })
  if (message === undefined || typeof reason !== 'string') return error
  return new CheckFailed(reason, message, { where: entry })
}
