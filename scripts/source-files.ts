/** Which files of the repository are its own sources. */

import { globSync, readFileSync } from 'node:fs'
import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const repositoryRoot = fileURLToPath(new URL('..', import.meta.url))

export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** TypeScript of packages, tests, scripts and examples, in order of path; third-party fixtures and generated files left out. */
export function sourceFiles(root: string = repositoryRoot): readonly SourceFile[] {
  const patterns = ['packages/*/src/**/*.{ts,tsx}', 'test/**/*.ts', 'scripts/**/*.ts', 'examples/**/*.ts']
  return globSync(patterns, { cwd: root, exclude: (name) => name === 'node_modules' || name === 'third_party' })
    .map((path) => path.split(sep).join('/'))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(`${root}/${path}`, 'utf8') }))
}
