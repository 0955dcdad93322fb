/** Examples are what strangers copy: they stand on what is published, and on nothing else of ours. */

import { deepEqual, ok } from 'node:assert/strict'
import { posix } from 'node:path'
import { test } from 'node:test'
import { sourceFiles } from '../../scripts/source-files.ts'
import { moduleImports } from '../../scripts/source-text.ts'

const published = /^(?:node:|@doorward\/sdk$|@modelcontextprotocol\/)/
const files = sourceFiles().filter(({ path }) => path.startsWith('examples/'))

const strange = (path: string, specifier: string): boolean =>
  specifier.startsWith('.')
    ? !posix.join(posix.dirname(path), specifier).startsWith('examples/')
    : !published.test(specifier)

test('examples import what Node.js has, the SDK, and the SDK of MCP', () => {
  ok(files.length > 0)
  const found = files.flatMap(({ path, text }) =>
    moduleImports(text)
      .filter(({ specifier }) => strange(path, specifier))
      .map(({ specifier }) => `${path}: ${specifier}`),
  )
  deepEqual(found, [])
})

test('a program of an example knows nothing of what starts it, nor of its attackers', () => {
  const found = files
    .filter(({ path }) => path.includes('/programs/'))
    .flatMap(({ path, text }) => moduleImports(text).map(({ specifier }) => `${path}: ${specifier}`))
    .filter((line) => line.includes(': ..'))
  deepEqual(found, [])
})
