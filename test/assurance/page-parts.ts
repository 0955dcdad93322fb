/** Parts of pages: links to files and proofs, tests by name. */

import { posix } from 'node:path'
import type { TestReference } from '../requirements/proving-tests.ts'

export interface Page {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

export const EVIDENCE = 'docs/assurance/evidence.md'

const WRITTEN = '<!-- Written by `npm run docs` from test/assurance; do not edit. -->'

export function page(path: string, title: string, parts: readonly string[]): Page {
  return { path, text: `${[`# ${title}`, WRITTEN, ...parts].join('\n\n')}\n` }
}

export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}

function relative(from: string, to: string): string {
  return posix.relative(posix.dirname(from), to)
}

export function fileLink(from: string, file: string): string {
  return `[\`${file}\`](${relative(from, file)})`
}

/** Ids, each leading to its proofs. */
export function proofLinks(from: string, ids: readonly string[]): string {
  return ids.map((id) => `[${id}](${relative(from, EVIDENCE)}#${anchorOf(id)})`).join(', ')
}

/** As the heading of that id has it. */
function anchorOf(id: string): string {
  return id
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')
}

export function testLines(from: string, tests: readonly TestReference[]): string {
  return tests.map(({ file, name }) => `- ${fileLink(from, file)}: “${name}”`).join('\n')
}
