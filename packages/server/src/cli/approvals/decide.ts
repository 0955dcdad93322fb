/** `doorward approvals approve` and `deny`: the answer to exactly what was shown, and to nothing that comes later. */

import type { Command } from 'commander'
import { ServerRefused } from '@doorward/sdk'
import type { ApprovalResult, ApprovalView } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { confirmed } from '../confirmation.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import { painter } from '../output.ts'
import { askGateway } from '../servers/asking.ts'
import { requestLines, subjectOf } from './request-text.ts'

interface DecideOptions {
  readonly as?: string
  readonly yes: boolean
  readonly group?: string
  readonly digest?: string
  readonly reason?: string
}

const verbs = {
  approve: 'approve a call: it may be made once, exactly as it was asked for',
  deny: 'deny a call',
} as const

type Verb = keyof typeof verbs

export function registerDecisions(approvals: Command, context: CliContext): void {
  for (const verb of ['approve', 'deny'] as const) registerDecision(approvals, verb, context)
}

function registerDecision(approvals: Command, verb: Verb, context: CliContext): void {
  approvals
    .command(`${verb} [id]`)
    .description(verbs[verb])
    .option(...asOption)
    .option('--yes', 'do not ask', false)
    .option(
      '--group <name>',
      'all calls that `doorward approvals list` shows under this name now, and none that come later',
    )
    .option('--digest <digest>', `${verb} only what \`doorward approvals show\` has shown under this digest`)
    .option('--reason <text>', 'why, for the record')
    .addHelpText(
      'after',
      `\nExamples:\n  doorward approvals ${verb} ap-3f0c…\n  doorward approvals ${verb} ap-3f0c… --yes --reason "as agreed"\n  doorward approvals ${verb} --group 5e1f09aa7c31`,
    )
    .action((id: string | undefined, options: DecideOptions) => decide(verb, { id, options, context }))
}

interface Deciding {
  readonly id: string | undefined
  readonly options: DecideOptions
  readonly context: CliContext
}

async function decide(verb: Verb, { id, options, context }: Deciding): Promise<void> {
  const { as, yes, reason, digest } = options
  const requests = await wanted({ id, options, context })
  for (const request of requests) {
    if (digest !== undefined && digest !== request.digest)
      throw new CheckFailed('approval_changed', 'the request is not the one that was looked at', {
        where: request.id,
        expected: digest,
        got: request.digest,
        next: `look again: doorward approvals show ${request.id}`,
      })
    if (!context.json) for (const line of requestLines(request, context.color)) context.out(line)
  }
  const question = requests.length === 1 ? `${verb} this call?` : `${verb} these ${requests.length} calls?`
  if (
    !yes &&
    !(await confirmed(context, question, `look at it with doorward approvals show, then ${verb} it with --yes`))
  )
    throw new CheckFailed('not_confirmed', 'nothing was answered')
  const named = { approve: verb === 'approve', requests, ...(reason === undefined ? {} : { reason }) }
  const results = await askGateway(context, as, (client) =>
    client.decideApprovals(named).catch((error: unknown) => {
      throw refusalOf(error, id)
    }),
  )
  if (context.json) context.out(JSON.stringify({ results }))
  else for (const result of results) context.out(resultLine(result, context.color))
  if (results.some(({ outcome }) => !isTaken(outcome))) context.fail()
}

/** The one that is named, or all of a group as they are now: each with its arguments. */
async function wanted({ id, options: { as, group }, context }: Deciding): Promise<readonly ApprovalView[]> {
  if ((id === undefined) === (group === undefined))
    throw new CheckFailed('usage', 'what is answered is not clear', { expected: 'an id, or --group <name>' })
  return askGateway(context, as, async (client) => {
    if (id !== undefined) return [await client.approval(id)]
    const listed = await client.approvals()
    const some = listed.filter((one) => one.state === 'pending' && subjectOf(one) === group)
    if (some.length === 0)
      throw new CheckFailed('approval_unknown', 'nothing waits under this name', {
        where: group ?? '',
        next: 'see doorward approvals list',
      })
    return Promise.all(some.map((one) => client.approval(one.id)))
  })
}

function refusalOf(error: unknown, id: string | undefined): unknown {
  const { reason } = error instanceof ServerRefused ? (error.details ?? {}) : {}
  if (reason !== 'approval_decided' && reason !== 'approval_changed') return error
  return new CheckFailed(reason, `the request was ${reason === 'approval_decided' ? 'answered' : 'changed'} before`, {
    where: id ?? '',
    next: 'see doorward approvals list --all',
  })
}

function isTaken(outcome: ApprovalResult['outcome']): boolean {
  return outcome === 'approved' || outcome === 'denied' || outcome === 'waiting'
}

const texts: Readonly<Record<ApprovalResult['outcome'], string>> = {
  approved: 'approved: it may be made once',
  denied: 'denied',
  waiting: 'approved for your groups; approvers of another group have to, too',
  unknown: 'not there any more',
  changed: 'not the one that was looked at',
  decided: 'answered before',
  takes_part: 'yours: somebody else has to answer',
}

function resultLine({ id, outcome }: ApprovalResult, color: boolean): string {
  const paint = painter(color)
  return `${isTaken(outcome) ? paint('green', '✓') : paint('red', '✗')} ${id} ${texts[outcome]}`
}
