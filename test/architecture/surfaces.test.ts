/** Every socket in the code is described, and every way in has its tests: what is claimed of all of them holds for each. */

import { deepEqual, ok } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot, sourceFiles } from '../../scripts/source-files.ts'
import { connections } from '../assurance/connections.ts'
import { surfaces } from '../assurance/surfaces.ts'
import type { TestReference } from '../requirements/proving-tests.ts'

/** Values by which a connection is opened or taken. Types, parsers and helpers of these modules open nothing. */
const openers = new Set([
  'Agent',
  'Client',
  'Pool',
  'connect',
  'createConnection',
  'createSecureServer',
  'createServer',
  'createSocket',
  'fetch',
  'get',
  'performServerHandshake',
  'request',
])
const modules = /import (?!type)\{([^}]*)\} from '(?:node:(?:net|tls|https?|http2|dgram)|undici|pg|ws)'/g

function opens(text: string): boolean {
  const named = [...text.matchAll(modules)].flatMap(([, names = '']) => names.split(','))
  const values = named.map((name) => name.trim().split(/\s+/)[0] ?? '')
  return (
    values.some((name) => openers.has(name)) || /(?<![.#\w])fetch\((?!\))|new (?:WebSocket|EventSource)\(/.test(text)
  )
}

function faults({ file, name }: TestReference): readonly string[] {
  const path = join(repositoryRoot, file)
  if (!existsSync(path)) return [`${file} does not exist`]
  return readFileSync(path, 'utf8').includes(name) ? [] : [`${file} has no test "${name}"`]
}

test('every file that opens or takes a connection is described, once, and no other file is', () => {
  const opening = sourceFiles().filter(({ path, text }) => /^packages\/[^/]+\/src\//.test(path) && opens(text))
  deepEqual(
    connections.flatMap(({ files }) => files.map((file) => `packages/${file}`)).toSorted(),
    opening.map(({ path }) => path).toSorted(),
  )
})

test('a file that opens a connection is told from one that only names the module', () => {
  ok(opens("import { connect as dial } from 'node:tls'"))
  ok(opens("import {\n  isIP,\n  createServer,\n} from 'node:net'"))
  ok(opens('await fetch(url)'))
  deepEqual(
    ["import type { Agent } from 'node:https'", "import { isIP } from 'node:net'", 'pool.fetch(1)'].map(opens),
    [false, false, false],
  )
})

test('each cell of each way in is a test that exists, or a decision record', () => {
  const cells = surfaces.flatMap(({ peer, token, permission, recorded }) => [peer, token, permission, recorded])
  const bad = cells.flatMap((cell) => {
    if (!('instead' in cell)) return faults(cell)
    return existsSync(join(repositoryRoot, cell.record)) ? [] : [cell.record]
  })
  deepEqual([...bad, ...connections.flatMap(({ tests }) => tests.flatMap(faults))], [])
  deepEqual(
    connections.flatMap(({ record }) =>
      record === undefined || existsSync(join(repositoryRoot, record)) ? [] : [record],
    ),
    [],
  )
})
