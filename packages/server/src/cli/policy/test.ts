/** `doorward policy test`: expectations of the policy, held against what it decides. */

import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { openPolicy, testPolicy } from '../../apps/policy-tools.ts'
import type { ExpectationOutcome, ExpectationRun } from '../../apps/policy-tools.ts'
import type { CliContext } from '../context.ts'
import { painter, printable, table } from '../output.ts'
import { whyLines } from './account.ts'

interface TestOptions {
  readonly minCoverage?: number
}

export function registerTest(policy: Command, context: CliContext): void {
  policy
    .command('test')
    .description('hold a file of expectations against the policy, and tell which rules none of them was decided by')
    .argument('<file...>', 'YAML files of expectations')
    .option('--min-coverage <percent>', 'fail when fewer of the rules decided an expectation', percent)
    .addHelpText(
      'after',
      `\nExamples:\n  doorward policy test policies/expectations.yaml --min-coverage 80\n${example}`,
    )
    .action(async (files: readonly string[], { minCoverage = 0 }: TestOptions) => {
      const run = await testPolicy(await openPolicy(await context.deployment()), files)
      const failed = run.outcomes.filter(({ met }) => !met).length
      const covered = run.coverage.percent >= minCoverage
      const ok = failed === 0 && covered
      if (context.json) context.out(JSON.stringify({ ok, failed, min_coverage: minCoverage, ...jsonOf(run) }))
      else {
        show(run, context)
        if (!covered)
          context.out(painter(context.color)('red', `✗ less than ${minCoverage} % of the rules decided anything`))
      }
      if (!ok) context.fail()
    })
}

const example = `
A file:
  expectations:
    - principal: agent/planner
      roles: [reader]
      action: tools/call
      resource: github/get_issue
      expect: allow
    - principal: { issuer: https://id.example.org, user: mary, groups: [staff] }
      presenter: agent/planner
      action: tools/call
      resource: github/delete_repo
      args: { repo: main }
      time: 2026-01-01T12:00:00Z
      address: 10.0.0.1
      expect: deny
      reason: none`

function percent(text: string): number {
  const value = Number(text)
  if (!/^\d{1,3}(\.\d)?$/.test(text) || value > 100) throw new InvalidArgumentError('expected 0 to 100')
  return value
}

function answer(effect: string, reason: string | null): string {
  return reason === null ? effect : `${effect} (${reason})`
}

function jsonOf({ outcomes, coverage }: ExpectationRun): object {
  return {
    expectations: outcomes.map(({ expectation: { name, where, expect, reason, by }, ...one }) => ({
      name,
      where,
      met: one.met,
      expected: { effect: expect, reason, by },
      got: { effect: one.got, reason: one.reason, by: one.by },
      why: one.met ? [] : whyLines(one.explanation),
    })),
    coverage,
  }
}

function show({ outcomes, coverage }: ExpectationRun, { color, out }: CliContext): void {
  const paint = painter(color)
  const rows = outcomes.map(({ expectation, met, got, reason, by }) => [
    met ? paint('green', '✓') : paint('red', '✗'),
    printable(expectation.where),
    printable(expectation.name),
    answer(expectation.expect, expectation.reason),
    answer(got, reason),
    printable(by.join(', ')) || '–',
  ])
  out(table(['', 'WHERE', 'EXPECTATION', 'EXPECTED', 'GOT', 'BY'], rows, color))
  for (const one of outcomes.filter(({ met }) => !met)) failureLines(one, color).forEach((line) => out(line))
  const met = outcomes.filter((one) => one.met).length
  const sign = met === outcomes.length ? paint('green', '✓') : paint('red', '✗')
  out(`\n${sign} ${met} of ${outcomes.length} expectations are met`)
  const idle = coverage.policies.filter(({ determined }) => determined === 0)
  out(`${coverage.determining} of ${coverage.policies.length} rules decided one (${coverage.percent} %)`)
  if (idle.length === 0) return
  const cells = idle
    .slice(0, 100)
    .map(({ id, applied }) => [printable(id), applied === 0 ? 'never applied' : 'applied, decided nothing'])
  out(table(['RULE WITHOUT A TEST', ''], cells, color))
  if (idle.length > 100) out(paint('dim', `… and ${idle.length - 100} more: --json tells all`))
}

function failureLines({ expectation, explanation }: ExpectationOutcome, color: boolean): readonly string[] {
  const paint = painter(color)
  const asked = expectation.by === null ? [] : [`  expected to be decided by ${printable(expectation.by.join(', '))}`]
  const why = whyLines(explanation).map((line) => `  ${printable(line)}`)
  return [`\n${paint('bold', printable(`${expectation.where} ${expectation.name}`))}`, ...asked, ...why]
}
