/** `npm run docs`: writes the pages of assurance from their manifests. test/architecture/assurance.test.ts finds when they differ. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { pages } from './pages.ts'

for (const { path, text } of pages()) {
  mkdirSync(dirname(join(repositoryRoot, path)), { recursive: true })
  writeFileSync(join(repositoryRoot, path), text)
  console.log(path)
}
