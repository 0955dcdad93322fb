/** How rows of published lists are written down. */

import type { AssuranceRow } from './evidence.ts'

export interface AssuranceList {
  readonly heading: string
  /** What is assessed, in which version, and where the ids and titles are from. */
  readonly source: string
  readonly rows: readonly AssuranceRow[]
}

const SHORT: Readonly<Record<string, string>> = {
  'core/': 'packages/core/src/',
  'path/': 'packages/enforcement/src/',
  'server/': 'packages/server/src/',
  'sdk/': 'packages/sdk/src/',
}

/** `server/authority/issue.ts` is that of the package; other paths are from the root. */
function longPath(file: string): string {
  const short = Object.keys(SHORT).find((one) => file.startsWith(one))
  return short === undefined ? file : `${SHORT[short]}${file.slice(short.length)}`
}

const words = (text: string) => text.split(' ').filter((word) => word !== '')

/** Files and ids are words between blanks. */
export function row(
  state: AssuranceRow['state'],
  [id, title]: readonly [id: string, title: string],
  why: string,
  [files, ids]: readonly [files: string, ids: string],
): AssuranceRow {
  return { id, title, state, why, controls: words(files).map(longPath), evidence: words(ids) }
}
