/** Reads a decision record: every sentence, list item, checklist item and configuration key that it holds, in order. */

import { parse } from 'yaml'

export interface RecordSentence {
  /** The heading that it stands under, without marks; empty before the first one. */
  readonly section: string
  /** Without marks of Markdown; a configuration key as `path: value`, the value as JSON. */
  readonly sentence: string
}

/** Headings, labels of up to three words, rules and empty lines are no sentences; everything else is at least one. */
export function recordSentences(markdown: string): readonly RecordSentence[] {
  const found: RecordSentence[] = []
  let section = ''
  let block: string[] | undefined
  for (const line of markdown.split('\n')) {
    if (line.startsWith('```')) {
      for (const sentence of configurationKeys(block?.join('\n') ?? '')) found.push({ section, sentence })
      block = block === undefined ? [] : undefined
    } else if (block !== undefined) block.push(line)
    else if (/^#+ /.test(line)) section = line.replace(/^#+ /, '').trim()
    else for (const sentence of prose(line)) found.push({ section, sentence })
  }
  return found
}

function prose(line: string): readonly string[] {
  const text = line
    .replace(/^(\s|>)*/, '')
    .replace(/^(?:[-*]|\d+\.)\s+/, '')
    .replace(/^\\?\[ \\?\]\s*/, '')
    .replaceAll('**', '')
    .replaceAll('\\[', '[')
    .replace(/^[_*]+|[_*]+\s*$/g, '')
    .trim()
  if (text === '' || /^-+$/.test(text) || isLabel(text)) return []
  return text.split(/(?<=[.?!])\s+(?=[A-Z])/)
}

/** `Pros:`, `Security implementation checklist:`: a heading in all but form. */
function isLabel(text: string): boolean {
  return text.endsWith(':') && text.split(/\s+/).length <= 3
}

function configurationKeys(yaml: string): readonly string[] {
  return yaml === '' ? [] : leaves(parse(yaml), '')
}

function leaves(value: unknown, path: string): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((each, at) => leaves(each, `${path}[${at}]`))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, each]) => leaves(each, path === '' ? key : `${path}.${key}`))
  }
  return [`${path}: ${JSON.stringify(value)}`]
}
