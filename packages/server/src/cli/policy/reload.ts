/** `doorward policy reload`: authority and gateway read their policies anew, and say what became of it. */

import type { Command } from 'commander'
import type { JsonObject } from '@doorward/core'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable } from '../output.ts'
import { askParts, objectIn, textsIn, versionText } from './parts.ts'
import type { PartAnswer } from './parts.ts'

export function registerReload(policy: Command, context: CliContext): void {
  policy
    .command('reload')
    .description('have authority and gateway read their policies anew; one that is wrong changes nothing')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward policy reload\n  doorward policy reload --json')
    .action(({ as }: { readonly as?: string }) => reload(context, as))
}

async function reload(context: CliContext, as: string | undefined): Promise<void> {
  const answers = await askParts(context, as, (client) => client.reloadPolicy())
  if (context.json) context.out(JSON.stringify({ parts: answers }))
  else for (const line of answers.flatMap((answer) => shownPolicy(answer, context.color))) context.out(line)
  if (answers.some((one) => 'error' in one || one.answer['outcome'] === 'refused')) context.fail()
}

/** Lines for people. */
export function shownPolicy(told: PartAnswer, color: boolean): readonly string[] {
  const paint = painter(color)
  const name = told.part.padEnd(9)
  if ('error' in told) return [paint('red', `✗ ${name} ${told.error.code}: ${printable(told.error.message)}`)]
  const { answer } = told
  const restart = textsIn(answer, 'needs_restart').map((key) => paint('yellow', `  needs a restart: ${printable(key)}`))
  const also = textsIn(answer, 'also').map((key) => `  ~ ${printable(key)}`)
  const warnings = textsIn(answer, 'warnings').map((text) => paint('yellow', `  warning: ${printable(text)}`))
  if (answer['outcome'] === 'changed') {
    const head = `${paint('green', '✓')} ${name} changed, now ${versionText(objectIn(answer, 'to'))}`
    return [head, ...changes(answer), ...also, ...warnings, ...restart]
  }
  if (answer['outcome'] === 'unchanged')
    return [
      `${paint('green', '✓')} ${name} unchanged, still ${versionText(objectIn(answer, 'version'))}`,
      ...also,
      ...restart,
    ]
  return [
    paint('red', `✗ ${name} refused, still ${versionText(objectIn(answer, 'kept'))}`),
    ...textsIn(answer, 'problems').map((text) => `  ${printable(text)}`),
  ]
}

const marks = { added: '+', removed: '-', changed: '~' } as const

/** What has come, gone and changed, one line each. */
export function changes(answer: JsonObject): readonly string[] {
  return (['policies', 'settings'] as const).flatMap((what) =>
    Object.entries(marks).flatMap(([how, mark]) => {
      const group = objectIn(objectIn(answer, what), how)
      const named = textsIn(group, 'named')
      const count = Number(group['count'] ?? 0)
      const more = count > named.length ? [`  ${mark} and ${count - named.length} more`] : []
      return [...named.map((text) => `  ${mark} ${printable(text)}`), ...more]
    }),
  )
}
