/** The packages as they are published: complete, and working where nothing else of this repository is. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { importedPackages, stagingFolder } from '../../scripts/stage.ts'
import { node26, withoutNode26 } from '../fixtures/other-node.ts'
import { installPacked, pack, packageNames } from '../fixtures/packed.ts'
import type { Packed } from '../fixtures/packed.ts'
import { callsThrough } from './one-call.ts'

const run = promisify(execFile)
const place = mkdtempSync(join(tmpdir(), 'doorward-packed-'))
const manifestOf = (name: string) =>
  JSON.parse(readFileSync(join(stagingFolder, name, 'package.json'), 'utf8')) as Readonly<Record<string, unknown>>

describe('the packages that are published', () => {
  let packed: readonly Packed[] = []
  let folder = ''
  before(() => {
    packed = pack(place)
    folder = installPacked(packed)
  })
  after(() => {
    rmSync(place, { recursive: true, force: true })
    rmSync(folder, { recursive: true, force: true })
  })

  for (const name of packageNames) {
    test(`${name}: publint finds nothing, not even a suggestion`, async () => {
      const staged = join(stagingFolder, name)
      const publint = join(repositoryRoot, 'node_modules', 'publint', 'src', 'cli.js')
      const { stdout } = await run(process.execPath, [publint, 'run', staged, '--strict', '--pack', 'false'])
      match(stdout, /All good!/)
    })
  }

  test('each has manifest, README and licence, and of its folders only what was built', () => {
    for (const { name, files } of packed) {
      const beside = files.filter((path) => !/^(?:dist|bin)\//.test(path))
      deepEqual(beside.toSorted(), ['LICENSE', 'README.md', 'package.json'], name)
      deepEqual(
        files.filter((path) => !/\.(?:js|cjs|d\.ts|d\.cts|json|md)$/.test(path) && path !== 'LICENSE'),
        [],
        name,
      )
      deepEqual(
        files.filter((path) => /\.test\.|(?:^|\/)src\//.test(path)),
        [],
        name,
      )
    }
  })

  test('each depends on what its files import, and on nothing else', () => {
    for (const name of packageNames) {
      const { name: own, dependencies = {} } = manifestOf(name)
      const imported = [...importedPackages(join(stagingFolder, name, 'dist'))]
      const foreign = imported.filter((one) => !builtinModules.includes(one) && one !== own && one !== 'koffi')
      deepEqual(foreign.toSorted(), Object.keys(dependencies as object).toSorted(), name)
    }
  })

  test('each has one version, the one that the command prints', async () => {
    const { stdout } = await run(process.execPath, [join(folder, 'node_modules', '.bin', 'doorward'), '--version'])
    for (const name of packageNames) equal(manifestOf(name)['version'], stdout.trim(), name)
  })

  test('types resolve for a program that imports or requires them, its libraries checked too', () => {
    writeConsumer(folder)
    const compilerOptions = {
      module: 'nodenext',
      strict: true,
      noEmit: true,
      types: ['node'],
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable'],
    }
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['program.ts', 'required.cts'] }),
    )
    const tsc = join(repositoryRoot, 'node_modules', 'typescript', 'bin', 'tsc')
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' })
    equal(status, 0, stdout)
  })

  for (const [line, binary, missing] of [
    ['24', process.execPath, false],
    ['26', node26 ?? '', withoutNode26],
  ] as const) {
    test(
      `installed on Node.js ${line}, the libraries load, and the command serves a call and denies another`,
      { skip: missing },
      async () => {
        const script = `const { connect } = await import('@doorward/sdk'); await import('@doorward/sdk/testing')
        console.log(process.versions.node.split('.')[0], typeof connect)`
        const { stdout } = await run(binary, ['--input-type=module', '--eval', script], { cwd: folder })
        equal(stdout.trim(), `${line} function`)
        await callsThrough({
          command: [binary, join(folder, 'node_modules', 'doorward', 'bin', 'doorward.cjs')],
          path: binary,
        })
      },
    )
  }
})

function writeConsumer(folder: string): void {
  const program = `import { connect, protect } from '@doorward/sdk'
import type { ConnectedIdentity } from '@doorward/sdk'
import * as testing from '@doorward/sdk/testing'
import { parseSpiffeId } from '@doorward/core'
import * as enforcement from '@doorward/enforcement'
export const open: typeof connect = connect
export const listening: typeof protect = protect
export type Opened = ConnectedIdentity
export const id = parseSpiffeId('spiffe://acme.example/agent/planner')
export const all = [testing, enforcement]
type IsAny<T> = 0 extends 1 & T ? true : false
export const typed: [IsAny<typeof connect>, IsAny<typeof testing>, IsAny<ReturnType<typeof parseSpiffeId>>] = [false, false, false]
`
  writeFileSync(join(folder, 'program.ts'), program)
  writeFileSync(
    join(folder, 'required.cts'),
    `import sdk = require('@doorward/sdk')\nexport const open: typeof sdk.connect = sdk.connect\n`,
  )
  // What TypeScript programs install beside the SDK.
  symlinkSync(join(repositoryRoot, 'node_modules', '@types'), join(folder, 'node_modules', '@types'))
}
