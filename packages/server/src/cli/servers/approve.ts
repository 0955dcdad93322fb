/** `doorward servers approve`: what a server says now is what counts from then on. */

import type { Command } from 'commander'
import { isGrave } from '@doorward/core'
import { ServerRefused } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { confirmed } from '../confirmation.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import { painter } from '../output.ts'
import { askGateway } from './asking.ts'
import { tellDefinitions } from './show.ts'

interface ApproveOptions {
  readonly as?: string
  readonly yes: boolean
  readonly digest?: string
}

export function registerApprove(servers: Command, context: CliContext): void {
  servers
    .command('approve <server>')
    .description('approve what a server says of itself and its tools; what changes afterwards is refused')
    .option(...asOption)
    .option('--yes', 'do not ask', false)
    .option('--digest <digest>', 'approve only what `doorward servers show` has shown under this digest')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward servers approve files\n  doorward servers approve files --yes --digest 9f86d081884c7d65…',
    )
    .action((server: string, options: ApproveOptions) => approve(server, options, context))
}

async function approve(
  server: string,
  { as, yes, digest: wanted }: ApproveOptions,
  context: CliContext,
): Promise<void> {
  const answer = await askGateway(context, as, (client) => client.definitions(server))
  if (wanted !== undefined && wanted !== answer.digest) throw changed(server, wanted, answer.digest)
  const flagged = answer.flags.some(({ flags }) => flags.some((flag) => isGrave(flag)))
  if (yes && flagged && wanted === undefined)
    throw new CheckFailed('definitions_flagged', 'something of it is meant for models and not for those who approve', {
      where: server,
      next: `look at it with doorward servers show ${server}, then name its digest: --yes --digest …`,
    })
  if (!context.json) await tellDefinitions(server, answer, context)
  if (
    !yes &&
    !(await confirmed(
      context,
      `approve what ${server} says?`,
      'look at it with doorward servers show, then approve it with --yes',
    ))
  ) {
    throw new CheckFailed('not_confirmed', 'nothing was approved')
  }
  const approval = await askGateway(context, as, (client) =>
    client.approveDefinitions(server, answer.digest).catch((error: unknown) => {
      const { reason, digest } = error instanceof ServerRefused ? (error.details ?? {}) : {}
      throw reason === 'definitions_changed'
        ? changed(server, answer.digest, typeof digest === 'string' ? digest : 'something else')
        : error
    }),
  )
  if (context.json) return context.out(JSON.stringify({ server, ...approval }))
  const done = painter(context.color)('green', '✓')
  context.out(
    `${done} approved ${approval.items} definitions of ${server}, digest ${approval.digest} (record ${approval.entry})`,
  )
}

function changed(server: string, expected: string, got: string): CheckFailed {
  return new CheckFailed('definitions_changed', 'the server does not say what was looked at; nothing was approved', {
    where: server,
    expected,
    got,
    next: `look again: doorward servers show ${server}`,
  })
}
