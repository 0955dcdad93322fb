/** Every page of assurance, from its manifest. */

import { asvs } from './asvs.ts'
import { compliance } from './compliance.ts'
import { errorsPage } from './errors-page.ts'
import { evidencePage } from './evidence-page.ts'
import { counted, listPage } from './list-page.ts'
import { page, table } from './page-parts.ts'
import type { Page } from './page-parts.ts'
import { owasp } from './owasp.ts'
import type { AssuranceList } from './rows.ts'
import { surfacesPage } from './surfaces-page.ts'
import { threatModelPage } from './threat-page.ts'
import { threatRows } from './threats.ts'
import { zeroTrust } from './zero-trust.ts'

const folder = 'docs/assurance'

const HOW = `**full**: what it asks of a gateway and an authority is done, and each proof is whole. **full by
inspection**: it is met as far as reading the named files shows; no test says so. **partial**: the row says what is missing. **no**: it is not met. **n/a**: there is nothing of the kind, and the row says why. Controls are files, proofs are ids of
[evidence.md](evidence.md), where the tests stand by name. Nobody from outside has looked at these tables: they are a
self-assessment. They say what a deployment can rely on, and nothing about how it is run.`

interface Listing {
  readonly file: string
  readonly title: string
  readonly lists: readonly AssuranceList[]
}

export const listings: readonly Listing[] = [
  { file: 'owasp.md', title: 'OWASP lists', lists: owasp },
  { file: 'zero-trust.md', title: 'Tenets of zero trust', lists: [zeroTrust] },
  { file: 'compliance.md', title: 'Compliance frameworks', lists: compliance },
  { file: 'asvs.md', title: 'ASVS 5.0.0, level 2', lists: asvs },
]

function index(): Page {
  const rows = listings.flatMap(({ file, lists }) => lists.map((list) => [`[${list.heading}](${file})`, counted(list)]))
  return page(`${folder}/README.md`, 'Assurance', [
    'What Doorward claims against published lists, row by row, with the tests that prove it. What can go wrong at all is in [THREAT_MODEL.md](../../THREAT_MODEL.md); which request comes in where, and what protects each connection, in [surfaces.md](surfaces.md).',
    HOW,
    table(['list', 'rows'], rows),
  ])
}

export function pages(): readonly Page[] {
  const rows = listings.flatMap(({ lists }) => lists).flatMap((list) => list.rows)
  const cited = new Set([...threatRows, ...rows].flatMap(({ evidence }) => evidence))
  return [
    threatModelPage(),
    index(),
    surfacesPage(),
    ...listings.map(({ file, title, lists }) => listPage(`${folder}/${file}`, { title, introduction: HOW, lists })),
    evidencePage(cited),
    errorsPage(),
  ]
}
