import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'

interface Manifest {
  readonly name: string
  readonly scripts?: Readonly<Record<string, string>>
  readonly [kind: string]: unknown
}

const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']
const manifests = ['package.json', ...globSync('packages/*/package.json', { cwd: repositoryRoot })].map(
  (path) => JSON.parse(readFileSync(join(repositoryRoot, path), 'utf8')) as Manifest,
)
const own = new Set(manifests.map(({ name }) => name))

function declared(manifest: Manifest): Readonly<Record<string, string>> {
  return Object.assign({}, ...kinds.map((kind) => manifest[kind] ?? {})) as Record<string, string>
}

test('every dependency has one line of reason in DEPENDENCIES.md, and no other package has', () => {
  const used = new Set(
    manifests.flatMap((manifest) => Object.keys(declared(manifest))).filter((name) => !own.has(name)),
  )
  const text = readFileSync(join(repositoryRoot, 'DEPENDENCIES.md'), 'utf8')
  const lines = [...text.matchAll(/^\| `([^`]+)` \|(?: [^|]+ \|)? [^|]{10,} \|$/gm)].map((match) => match[1] ?? '')
  assert.deepEqual(lines.toSorted(), [...used].toSorted())
})

test('every dependency of a package is pinned to one version', () => {
  const loose = manifests
    .filter(({ name }) => name !== 'doorward-workspace')
    .flatMap((manifest) => Object.entries(declared(manifest)))
    .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
  assert.deepEqual(loose, [])
})

test('no package of ours runs a script when it is installed', () => {
  const running = manifests.filter(({ scripts }) =>
    ['preinstall', 'install', 'postinstall', 'prepare'].some((name) => scripts?.[name] !== undefined),
  )
  assert.deepEqual(running, [])
})

test('no dependency at run time runs an install script', () => {
  const lock = JSON.parse(readFileSync(join(repositoryRoot, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly hasInstallScript?: boolean }>>
  }
  const running = Object.entries(lock.packages).filter(([, entry]) => entry.hasInstallScript === true && !entry.dev)
  assert.deepEqual(
    running.map(([path]) => path),
    [],
  )
})
