/** `doorward policy explain`: one decision, why it comes out as it does, and what would have to change. */

import type { Command } from 'commander'
import { approversIn } from '@doorward/core'
import type { ActionGroup, Explanation, ResourceKind, Verdict } from '@doorward/core'
import { behalfOf, openPolicy, requestOf } from '../../apps/policy-tools.ts'
import type { Question } from '../../apps/policy-tools.ts'
import type { CliContext } from '../context.ts'
import { painter, printable } from '../output.ts'
import { consideredLines, whyLines } from './account.ts'
import {
  effectOption,
  groupOption,
  jsonObject,
  kindOption,
  moment,
  registeredRoles,
  roleOption,
  throughOption,
} from './asking.ts'

interface ExplainOptions {
  readonly args?: unknown
  readonly role?: readonly string[]
  readonly for?: string
  readonly group?: readonly string[]
  readonly through?: readonly string[]
  readonly at?: number
  readonly from?: string
  readonly effect?: ActionGroup
  readonly kind?: ResourceKind
}

export function registerExplain(policy: Command, context: CliContext): void {
  policy
    .command('explain')
    .description('decide one call, and tell why: each rule that was looked at, and what would have to change')
    .argument('<principal>', 'the workload that calls: agent/planner, or a SPIFFE ID')
    .argument('<action>', 'tools/call, prompts/get, GET …')
    .argument('<resource>', 'server/name, or a server')
    .option('--args <json>', 'arguments of the call', jsonObject)
    .addOption(roleOption())
    .option('--for <user|workload>', 'on whose behalf: <issuer>#<subject>, or a workload')
    .addOption(groupOption())
    .addOption(throughOption())
    .option('--at <time>', 'when; now without it', moment)
    .option('--from <address>', 'from where', '127.0.0.1')
    .addOption(effectOption())
    .addOption(kindOption())
    .addHelpText(
      'after',
      '\nExample:\n  doorward policy explain agent/planner tools/call github/create_issue --args \'{"repo":"main"}\' --role writer',
    )
    .action((...words: [string, string, string, ExplainOptions]) => explain(context, words))
}

async function explain(
  context: CliContext,
  [principal, action, resource, options]: readonly [string, string, string, ExplainOptions],
): Promise<void> {
  const open = await openPolicy(await context.deployment())
  const question: Question = {
    presenter: principal,
    roles: options.role ?? [],
    behalf: options.for === undefined ? null : behalfOf(options.for, options.group ?? []),
    through: options.through ?? [],
    action,
    resource,
    effect: options.effect ?? null,
    kind: options.kind ?? null,
    args: options.args ?? {},
    timeSeconds: options.at ?? Math.floor(Date.now() / 1000),
    address: options.from ?? '127.0.0.1',
  }
  const request = requestOf(question, open.known)
  const explanation = open.explainer.explain(request)
  if (context.json) {
    const { kind, server, name } = request.resource
    const asked = { action: request.action.name, effect: request.action.group, resource: { kind, server, name } }
    context.out(JSON.stringify({ ...asked, ...jsonOf(explanation), note: registeredRoles }))
  } else {
    const { action: used, resource: item } = request
    const what = `${used.name} (${used.group}) on ${item.kind} ${resource}`
    for (const line of humanLines(explanation, what, context.color)) context.out(line)
    if (options.role === undefined) context.err(painter(context.color)('dim', registeredRoles))
  }
  if (explanation.verdict.effect === 'deny') context.fail()
}

function jsonOf({ verdict, unknown, parties }: Explanation): object {
  const denied = verdict.effect === 'deny'
  return {
    verdict: verdict.effect,
    reason: denied ? verdict.reason : null,
    policies: verdict.policies,
    approvals: approversOf(verdict),
    would_allow: denied ? verdict.wouldAllow : null,
    unknown,
    digest: verdict.version.digest,
    parties: parties.map(({ rolesToBind, ...party }) => ({ ...party, roles_to_bind: rolesToBind })),
  }
}

function approversOf(verdict: Verdict): readonly string[] {
  return verdict.effect === 'allow' ? approversIn(verdict.obligations) : []
}

function humanLines(explanation: Explanation, what: string, color: boolean): readonly string[] {
  const paint = painter(color)
  const { verdict, parties } = explanation
  const asks = approversOf(verdict).length > 0
  const allowed = asks ? paint('yellow', 'allow (approval)') : paint('green', 'allow')
  const answer = verdict.effect === 'allow' ? allowed : paint('red', `deny (${verdict.reason})`)
  return [
    `${answer}  ${printable(what)}`,
    ...whyLines(explanation).map((line) => printable(line)),
    ...parties.flatMap((party) => [
      '',
      `${paint('bold', printable(party.id))}: ${party.decision}, ${printable(party.roles.join(', ')) || 'no roles'}`,
      ...consideredLines(party).map(printable),
    ]),
  ]
}
