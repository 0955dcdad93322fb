/** docs/assurance/evidence.md: what each id says that a page of assurance cites, and the tests that prove it. */

import { evidence } from './evidence.ts'
import { EVIDENCE, page, testLines } from './page-parts.ts'
import type { Page } from './page-parts.ts'

const STATES = { whole: 'proven', part: 'proven in part', not: 'not proven' } as const

const INTRODUCTION = `Each id that a page of assurance cites: what it says, how far tests prove it, and which. Ids are those of the manifests in
\`test/requirements\`: \`TM\` threats, \`AT\` attacks and \`FM\` faults of our reference; \`MC\`, \`MS\` and \`AS\` of MCP and its
authorization; \`AG\` of agents; \`ADR11\` and \`OS25\` sentences of the two decision records; all others of identity.`

function section(id: string): string {
  const row = evidence.get(id)
  if (row === undefined) throw new Error(`no manifest has ${id}`)
  const state = `${STATES[row.met]}${row.missing === undefined ? '' : ` — ${row.missing}`}`
  return [
    `### ${id}`,
    `${row.says.replaceAll(/[<>]/g, '')}\n(${state})`,
    ...(row.tests.length > 0 ? [testLines(EVIDENCE, row.tests)] : []),
  ].join('\n\n')
}

/** `TM-2` before `TM-10`. */
export function byId(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

export function evidencePage(cited: ReadonlySet<string>): Page {
  return page(EVIDENCE, 'Evidence', [INTRODUCTION, ...[...cited].toSorted(byId).map(section)])
}
