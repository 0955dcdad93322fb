/** Every page of assurance, from its manifest. */

import { evidencePage } from './evidence-page.ts'
import type { Page } from './page-parts.ts'
import { threatModelPage } from './threat-page.ts'
import { threatRows } from './threats.ts'

export function pages(): readonly Page[] {
  const cited = new Set(threatRows.flatMap(({ evidence }) => evidence))
  return [threatModelPage(), evidencePage(cited)]
}
