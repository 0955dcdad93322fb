/**
 * What is published of a package, in `out/packages/<name>`: what was built, its README, the licence, and a manifest without what
 * only this repository needs. `npm pack` of that folder is the package; the folders of the sources are private.
 */

import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from './source-files.ts'
import { moduleImports } from './source-text.ts'

export const stagingFolder = join(repositoryRoot, 'out', 'packages')

type Exports = Readonly<Record<string, Readonly<Record<string, string>>>>

interface Manifest {
  readonly files: readonly string[]
  readonly exports?: Exports
  readonly dependencies?: Readonly<Record<string, string>>
  readonly [key: string]: unknown
}

/** Names of packages that the files load, without what Node.js brings. */
export function importedPackages(folder: string): ReadonlySet<string> {
  const specifiers = globSync('**/*.js', { cwd: folder }).flatMap((path) => {
    const text = readFileSync(join(folder, path), 'utf8')
    const required = text.matchAll(/\brequire\d*\(["']([^"'\n]+)["']\)/g)
    return [...moduleImports(text).map(({ specifier }) => specifier), ...[...required].map(([, name = '']) => name)]
  })
  const foreign = specifiers.filter((specifier) => !/^(?:\.|\/|node:)/.test(specifier))
  return new Set(foreign.map((specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier))
}

/** Stages `packages/<name>`, which has been built. */
export function stage(name: string): void {
  const home = join(repositoryRoot, 'packages', name)
  const staged = join(stagingFolder, name)
  rmSync(staged, { recursive: true, force: true })
  mkdirSync(staged, { recursive: true })
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Manifest
  for (const file of manifest.files) cpSync(join(home, file), join(staged, file), { recursive: true })
  cpSync(join(home, 'README.md'), join(staged, 'README.md'))
  cpSync(join(repositoryRoot, 'LICENSE'), join(staged, 'LICENSE'))
  writeFileSync(join(staged, 'package.json'), `${JSON.stringify(published(manifest, join(staged, 'dist')), null, 2)}\n`)
}

/** Nobody installs what the bundle already holds, and the condition `source` names files that are not there. */
function published(manifest: Manifest, dist: string): object {
  const { exports, dependencies } = manifest
  const imported = importedPackages(dist)
  return {
    ...without(manifest, ['private', 'devDependencies']),
    ...(exports === undefined ? {} : { exports: Object.fromEntries(Object.entries(exports).map(withoutSource)) }),
    ...(dependencies === undefined
      ? {}
      : { dependencies: Object.fromEntries(Object.entries(dependencies).filter(([name]) => imported.has(name))) }),
  }
}

function withoutSource([path, conditions]: readonly [string, object]): readonly [string, object] {
  return [path, without(conditions, ['source'])]
}

function without(whole: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(whole).filter(([name]) => !names.includes(name)))
}

/** Whether the staged package is of what was built last. */
export function isStaged(name: string): boolean {
  const of = (folder: string): readonly string[] => globSync('dist/**/*.js', { cwd: folder }).toSorted()
  const [built, staged] = [join(repositoryRoot, 'packages', name), join(stagingFolder, name)]
  const files = of(built)
  return (
    existsSync(join(staged, 'package.json')) &&
    files.join() === of(staged).join() &&
    files.every((file) => readFileSync(join(built, file)).equals(readFileSync(join(staged, file))))
  )
}
