import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot, sourceFiles } from '../../scripts/source-files.ts'
import { type DeclaredPackages, silentFolders, violations } from './boundaries.ts'

const files = sourceFiles()

test('every import keeps to the import table, and no imports form a cycle', () => {
  assert.deepEqual(violations(files, declaredPackages()), [])
})

test('every folder of a package says in one sentence what it decides', () => {
  const readmes = globSync('packages/*/src/**/README.md', { cwd: repositoryRoot })
    .filter((path) => /\w+ .*\./s.test(readFileSync(`${repositoryRoot}/${path}`, 'utf8')))
    .map((path) => dirname(path).replaceAll('\\', '/'))
  assert.deepEqual(silentFolders(files, new Set(readmes)), [])
})

function declaredPackages(): DeclaredPackages {
  const declared = new Map<string, ReadonlySet<string>>()
  for (const path of globSync('packages/*/package.json', { cwd: repositoryRoot })) {
    const manifest = JSON.parse(readFileSync(`${repositoryRoot}/${path}`, 'utf8')) as {
      readonly dependencies?: Readonly<Record<string, string>>
    }
    declared.set(path.split(/[/\\]/)[1] ?? '', new Set(Object.keys(manifest.dependencies ?? {})))
  }
  return declared
}
