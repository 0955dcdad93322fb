/** `doorward workload apply`: brings the registrations in line with a file, after showing what changes. */

import type { Command } from 'commander'
import { parseWorkloads, readWorkloadText } from '../../config/workload-file.ts'
import type { AdminClient } from '@doorward/sdk'
import { confirmed } from '../confirmation.ts'
import type { CliContext } from '../context.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable } from '../output.ts'
import { carryOut, patiently } from './carry-out.ts'
import type { StepResult } from './carry-out.ts'
import { counted, planJson, planLines } from './change-view.ts'
import { shortId } from './naming.ts'
import { planOf } from './plan.ts'
import type { Plan } from './plan.ts'
import { administerWorkloads } from './refusal.ts'
import { warnOfUnknown } from './warnings.ts'

interface ApplyOptions {
  readonly as?: string
  readonly file: string
  readonly prune: boolean
  readonly again: boolean
  readonly dryRun: boolean
  readonly yes: boolean
  readonly outDir?: string
}

export function registerApply(workload: Command, context: CliContext): void {
  workload
    .command('apply')
    .description('bring the registrations in line with a file; a second time changes nothing')
    .requiredOption('-f, --file <file>', 'YAML: workloads as documents or lists; - for standard input')
    .option('--prune', 'remove workloads that the file does not have, never parts of Doorward', false)
    .option('--again', 'ids that were removed before return as the same workloads', false)
    .option('--dry-run', 'show what would change and change nothing; exit 1 when something would', false)
    .option('--yes', 'change without asking', false)
    .option(
      '--out-dir <dir>',
      'write a join string for each added workload there: files of mode 0600, never overwritten',
    )
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward workload apply -f workloads.yaml --dry-run\n  doorward workload apply -f workloads.yaml --prune --yes --out-dir joins',
    )
    .action((options: ApplyOptions) => apply(context, options))
}

async function apply(context: CliContext, options: ApplyOptions): Promise<void> {
  const { trustDomain } = await context.deployment()
  const text = await readWorkloadText(options.file, context.stdin)
  const declared = parseWorkloads(text, options.file, trustDomain)
  await warnOfUnknown(context, declared)
  await administerWorkloads(context, options.as, async (client, self) => {
    const { prune } = options
    const registered = await patiently(() => client.listWorkloads(), context.signal)
    const plan = planOf(declared, registered, { prune, self: self.uri })
    if (!context.json) for (const line of planLines(plan, { trustDomain, color: context.color })) context.out(line)
    if (plan.steps.length === 0 || options.dryRun) return endUnchanged(context, plan)
    if (!options.yes && !(await confirmed(context, 'apply this?'))) {
      context.out('nothing was changed')
      return
    }
    await carry(context, client, { plan, options })
  })
}

/** A difference that stays is a failed check. */
function endUnchanged(context: CliContext, plan: Plan): void {
  if (context.json) context.out(JSON.stringify({ ...planJson(plan), applied: false, results: [] }))
  if (plan.steps.length > 0) context.fail()
}

async function carry(
  context: CliContext,
  client: AdminClient,
  { plan, options }: { readonly plan: Plan; readonly options: ApplyOptions },
): Promise<void> {
  const { trustDomain } = await context.deployment()
  const results = await carryOut(plan.steps, {
    client,
    trustDomain,
    again: options.again,
    outDir: options.outDir ?? null,
    signal: context.signal,
    onResult: (result) => {
      if (!context.json) context.err(resultLine(result, shortId(result.step.document.id, trustDomain), context))
    },
  })
  const missing = results.filter(({ outcome }) => outcome.kind !== 'done')
  if (context.json)
    context.out(JSON.stringify({ ...planJson(plan), applied: missing.length === 0, results: results.map(resultJson) }))
  if (missing.length === 0) {
    if (!context.json) context.out(`${counted(results.length, 'change')} made`)
    return
  }
  context.fail()
  if (!context.json) throw incomplete(results)
}

const verbs = { add: 'added', change: 'changed', remove: 'removed' } as const

function resultLine({ step, outcome }: StepResult, name: string, { color }: CliContext): string {
  const paint = painter(color)
  switch (outcome.kind) {
    case 'done':
      return `${paint('green', '✓')} ${verbs[step.action]} ${name}${outcome.joinFile === null ? '' : `, join string in ${outcome.joinFile}`}`
    case 'failed': {
      const { code, message, where, got, next } = outcome.error
      const rest = [where, got].filter((part) => part !== undefined).join(', ')
      const told = `not ${verbs[step.action]}: ${message} (${code})${rest === '' ? '' : `: ${rest}`}${next === undefined ? '' : `; ${next}`}`
      return `${paint('red', '✗')} ${name} ${printable(told)}`
    }
    case 'untried':
      return `${paint('dim', '·')} ${name} not tried`
  }
}

function resultJson({ step, outcome }: StepResult): object {
  const { action, document } = step
  const told = { action, id: document.id, outcome: outcome.kind }
  switch (outcome.kind) {
    case 'done':
      return outcome.joinFile === null ? told : { ...told, join_file: outcome.joinFile }
    case 'failed': {
      const { code, message, where, expected, got, next } = outcome.error
      return { ...told, error: { code, message, where, expected, got, next } }
    }
    case 'untried':
      return told
  }
}

function incomplete(results: readonly StepResult[]): CheckFailed {
  const number = (kind: StepResult['outcome']['kind']) => results.filter(({ outcome }) => outcome.kind === kind).length
  return new CheckFailed('apply_incomplete', 'not everything was applied', {
    got: `${number('done')} done, ${number('failed')} failed, ${number('untried')} not tried`,
    next: 'run the command again: what was done is not done twice',
  })
}
