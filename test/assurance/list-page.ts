/** A page of published lists: each row with its state, its controls and its proofs. */

import { fileLink, page, proofLinks, table } from './page-parts.ts'
import type { Page } from './page-parts.ts'
import type { AssuranceList } from './rows.ts'

const STATES = { full: 'full', inspected: 'full by inspection', partial: 'partial', no: '**no**', none: 'n/a' } as const

export function counted({ rows }: AssuranceList): string {
  const counts = (['full', 'inspected', 'partial', 'no', 'none'] as const)
    .map((state) => [rows.filter((row) => row.state === state).length, STATES[state]] as const)
    .filter(([count]) => count > 0)
  return counts.map(([count, state]) => `${count} ${state}`).join(', ')
}

function section(path: string, list: AssuranceList): string {
  const rows = list.rows.map(({ id, title, state, why, controls, evidence }) => [
    id,
    title,
    STATES[state],
    why,
    controls.map((file) => fileLink(path, file)).join(' '),
    proofLinks(path, evidence),
  ])
  return [
    `## ${list.heading}`,
    ...(list.source === '' ? [] : [list.source]),
    `${list.rows.length} rows: ${counted(list)}.`,
    table(['id', 'title', 'state', 'why', 'controls', 'proof'], rows),
  ].join('\n\n')
}

export function listPage(
  path: string,
  {
    title,
    introduction,
    lists,
  }: { readonly title: string; readonly introduction: string; readonly lists: readonly AssuranceList[] },
): Page {
  return page(path, title, [introduction, ...lists.map((list) => section(path, list))])
}
