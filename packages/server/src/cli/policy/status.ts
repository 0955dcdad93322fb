/** `doorward policy status`: by which policy authority and gateway decide. */

import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable, table } from '../output.ts'
import { askParts, objectIn, textsIn, versionText } from './parts.ts'
import type { PartAnswer } from './parts.ts'

export function registerStatus(policy: Command, context: CliContext): void {
  policy
    .command('status')
    .description('show by which policy authority and gateway decide, and whether the newest reload failed')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward policy status\n  doorward policy status --json')
    .action(({ as }: { readonly as?: string }) => status(context, as))
}

async function status(context: CliContext, as: string | undefined): Promise<void> {
  const answers = await askParts(context, as, (client) => client.policy())
  if (context.json) context.out(JSON.stringify({ parts: answers }))
  else {
    context.out(table(['PART', 'POLICY', 'SINCE', 'POLICIES', 'BINDINGS', 'TOOLS'], answers.map(row), context.color))
    for (const line of answers.flatMap((answer) => notes(answer, context.color))) context.out(line)
  }
  if (answers.some((one) => 'error' in one)) context.fail()
}

function row(told: PartAnswer): readonly string[] {
  if ('error' in told) return [told.part, `${told.error.code}: ${printable(told.error.message)}`]
  const { answer } = told
  const { policies, bindings, tools } = objectIn(answer, 'counts')
  const since = typeof answer['since'] === 'number' ? new Date(answer['since'] * 1000).toISOString() : ''
  return [
    told.part,
    versionText(answer),
    since,
    ...[policies, bindings, tools].map((count) => (typeof count === 'number' ? String(count) : '')),
  ]
}

function notes(told: PartAnswer, color: boolean): readonly string[] {
  if ('error' in told) return []
  const paint = painter(color)
  const failed = objectIn(told.answer, 'failed')
  const { digest, differences } = objectIn(told.answer, 'shadow')
  const compared =
    typeof digest === 'string'
      ? [`${told.part}: compared with the candidate ${digest.slice(0, 12)}…: ${Number(differences)} decided otherwise`]
      : []
  const refused = textsIn(objectIn(told.answer, 'shadow_refused'), 'problems')
  const of = (name: string) => textsIn(told.answer, name).map((text) => printable(text))
  return [
    ...compared,
    ...refused.map((text) => paint('yellow', `${told.part}: candidate refused: ${printable(text)}`)),
    ...of('warnings').map((text) => paint('yellow', `${told.part}: warning: ${text}`)),
    ...of('needs_restart').map((key) => paint('yellow', `${told.part}: needs a restart: ${key}`)),
    ...textsIn(failed, 'problems').map((text) => paint('red', `${told.part}: refused: ${printable(text)}`)),
  ]
}
