/** What a server says, beside what was approved of it, as people read it. Pure. */

import {
  definitionChanges,
  definitionKey,
  matchesName,
  proposedEffect,
  readNamePattern,
  spelledOut,
} from '@doorward/core'
import type { Definition, DefinitionChange, FlagCode, JsonValue, MemberChange } from '@doorward/core'
import type { DefinitionsAnswer } from '@doorward/sdk'
import { painter, printable } from '../output.ts'
import type { Paint } from '../output.ts'

type Painter = (paint: Paint, text: string) => string

const kindNames = { server: 'server', tool: 'tool', prompt: 'prompt', resource_template: 'resource template' } as const

/** As the end of a sentence about the definition. */
export const flagTexts: Readonly<Record<FlagCode, string>> = {
  invisible_characters: 'has characters that nobody sees',
  terminal_escape: 'has characters that terminals obey',
  html_comment: 'has a comment that is not displayed',
  hidden_markup: 'has markup that speaks to models',
  orders_to_model: 'gives orders to the model',
  oversized: 'is longer than anybody reads',
  network_reference: 'refers to a schema elsewhere, which is never fetched',
  other_server: 'speaks of a tool of another server',
  same_name: 'is also the name of a tool of another server',
}

const MAX_TEXT = 2000

/** Lines: what changed, tool by tool; what is flagged; what effects it proposes. Lines that say so where there is nothing. */
export function definitionLines(
  answer: DefinitionsAnswer,
  declared: readonly string[],
  color: boolean,
): readonly string[] {
  const paint = painter(color)
  const { approved, defined, twofold } = answer
  const changes = definitionChanges(approved, defined)
  const byKey = new Map([...approved, ...defined].map((one) => [definitionKey(one), one]))
  return [
    `${approved.length} approved, ${defined.length} now, ${changes.length === 0 ? 'no difference' : `${changes.length} different`}`,
    ...changes.flatMap((change) => changeLines(change, byKey.get(definitionKey(change)), paint)),
    ...flagLines(answer, paint),
    ...twofold.map((key) =>
      paint('red', `! ${shown(key)} is shown to callers in another form than to the gateway: it stays refused`),
    ),
    ...effectLines(defined, declared),
  ]
}

function changeLines(change: DefinitionChange, definition: Definition | undefined, paint: Painter): readonly string[] {
  const title = `${kindNames[change.kind]}${change.name === '' ? '' : ` ${shown(change.name)}`}`
  switch (change.change) {
    case 'added':
      return [
        paint('green', `+ ${title}`),
        ...Object.entries(definition?.value ?? {})
          .filter(([name]) => name !== 'name')
          .map(([name, value]) => paint('green', `    ${shown(name)}: ${valueText(value)}`)),
      ]
    case 'removed':
      return [paint('red', `- ${title}`)]
    case 'changed':
      return [paint('yellow', `~ ${title}`), ...change.members.flatMap((member) => memberLines(member, paint))]
  }
}

function memberLines({ path, before, after }: MemberChange, paint: Painter): readonly string[] {
  return [
    `    ${shown(path)}`,
    ...(before === undefined ? [] : [paint('red', `    - ${valueText(before)}`)]),
    ...(after === undefined ? [] : [paint('green', `    + ${valueText(after)}`)]),
  ]
}

function flagLines({ flags, defined }: DefinitionsAnswer, paint: Painter): readonly string[] {
  const names = new Map(
    defined.map((one) => [definitionKey(one), `${kindNames[one.kind]} ${shown(one.name)}`.trimEnd()]),
  )
  return flags.flatMap(({ key, flags: found }) =>
    found.map(({ code, where, about }) =>
      paint(
        'red',
        `! ${names.get(key) ?? shown(key)}: ${shown(where)} ${flagTexts[code]}${about === '' ? '' : `: ${shown(about)}`}`,
      ),
    ),
  )
}

/** What tools say of their own effects, where the configuration says nothing yet. */
function effectLines(defined: readonly Definition[], declared: readonly string[]): readonly string[] {
  const patterns = declared.flatMap((text) => {
    const pattern = readNamePattern(text)
    return 'problem' in pattern ? [] : [pattern]
  })
  const proposed = defined
    .filter(({ kind, value }) => kind === 'tool' && proposedEffect(value) === 'read')
    .filter(({ name }) => !patterns.some((pattern) => matchesName(pattern, name)))
    .map(({ name }) => JSON.stringify(name))
  if (proposed.length === 0) return []
  return [
    `these say of themselves that they only read; if that is so, write: effects: { read: [${proposed.map((one) => shown(one)).join(', ')}] }`,
  ]
}

function valueText(value: JsonValue): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (${text.length} characters)` : text
  return shown(cut).replaceAll('\\u000a', '\n      ')
}

function shown(text: string): string {
  return printable(spelledOut(text))
}
