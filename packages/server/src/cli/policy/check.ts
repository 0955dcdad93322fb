/** `doorward policy check`: every mistake in the policy, and what its rules do not say. */

import type { Command } from 'commander'
import { checkFiles } from '../../apps/policy-tools.ts'
import type { Checked, Remark } from '../../apps/policy-tools.ts'
import type { CliContext } from '../context.ts'
import { painter, printable } from '../output.ts'
import type { Paint } from '../output.ts'

interface CheckOptions {
  readonly candidate?: string
  readonly strict?: boolean
}

export function registerCheck(policy: Command, context: CliContext): void {
  policy
    .command('check')
    .description('tell every mistake in the policy, rules without effect, and what rules grant beyond their text')
    .argument('[file...]', 'Cedar files to judge beside those of the configuration')
    .option('--candidate <file>', 'a Cedar file to judge in place of those of the configuration')
    .option('--strict', 'warnings fail as well')
    .addHelpText('after', '\nExamples:\n  doorward policy check\n  doorward policy check policies/new.cedar --strict')
    .action(async (files: readonly string[], { candidate, strict = false }: CheckOptions) => {
      const asked = { more: files, candidate: candidate ?? null }
      const checked = await checkFiles(await context.deployment(), asked)
      const ok = !checked.remarks.some(({ level }) => level === 'problem' || (strict && level === 'warning'))
      if (context.json) context.out(JSON.stringify({ ok, ...jsonOf(checked) }))
      else show(checked, context)
      if (!ok) context.fail()
    })
}

/** Remarks of one level; programs get all. */
const MAX_SHOWN = 100

const paints: Readonly<Record<Remark['level'], Paint>> = { problem: 'red', warning: 'yellow', note: 'cyan' }

function jsonOf({ remarks, complete, policies }: Checked): object {
  return {
    policies,
    complete,
    remarks: remarks.map(({ line, policyId, ...rest }) => ({
      ...rest,
      policy: policyId,
      line: line?.number ?? null,
      column: line?.column ?? null,
      source: line?.text ?? null,
    })),
  }
}

function show({ remarks, complete, policies }: Checked, context: CliContext): void {
  const paint = painter(context.color)
  const counts: string[] = []
  for (const level of ['problem', 'warning', 'note'] as const) {
    const of = remarks.filter((one) => one.level === level)
    for (const one of alike(of).slice(0, MAX_SHOWN))
      for (const line of remarkLines(one, context.color)) context.out(line)
    if (of.length > MAX_SHOWN) context.out(paint('dim', `… and ${of.length - MAX_SHOWN} more: --json tells all`))
    if (of.length > 0) counts.push(`${of.length} ${level}${of.length === 1 ? '' : 's'}`)
  }
  if (!complete)
    context.out(paint('dim', 'rules that change nothing were not all looked for: too many resemble each other'))
  const sign = remarks.some(({ level }) => level === 'problem') ? paint('red', '✗') : paint('green', '✓')
  const size = policies === null ? 'the policy cannot be used' : `${policies} policies`
  context.out(`${sign} ${size}${counts.length === 0 ? '' : `: ${counts.join(', ')}`}`)
}

/** What is said alike of several rules of roles is said once. */
function alike(remarks: readonly Remark[]): readonly Remark[] {
  const found = new Map<string, Remark>()
  for (const one of remarks) {
    const key = one.line === null && one.level === 'note' ? JSON.stringify([one.code, one.related]) : `${found.size}`
    const before = found.get(key)
    found.set(key, before === undefined ? one : { ...before, where: `${before.where}, ${one.where}` })
  }
  return [...found.values()]
}

function remarkLines(
  { level, where, message, code, line, help, related, total }: Remark,
  color: boolean,
): readonly string[] {
  const paint = painter(color)
  const head = `${printable(where)}: ${paint(paints[level], level)}: ${printable(message)} ${paint('dim', `(${code})`)}`
  const more = total > related.length ? ` and ${total - related.length} more` : ''
  return [
    head,
    ...(line === null ? [] : caretLines(line, paint)),
    ...(related.length === 0 ? [] : [`    ${printable(related.join(', '))}${more}`]),
    ...(help === null ? [] : [`    ${paint('dim', `help: ${printable(help)}`)}`]),
  ]
}

function caretLines(line: NonNullable<Remark['line']>, paint: ReturnType<typeof painter>): readonly string[] {
  const margin = String(line.number)
  const before = printable(line.text.slice(0, line.column - 1).replaceAll('\t', ' '))
  return [
    `  ${paint('dim', `${margin} |`)} ${printable(line.text.replaceAll('\t', ' '))}`,
    `  ${paint('dim', `${' '.repeat(margin.length)} |`)} ${' '.repeat(before.length)}${paint('red', '^')}`,
  ]
}
