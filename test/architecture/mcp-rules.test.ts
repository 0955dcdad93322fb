import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { mcpRules } from '../requirements/mcp.ts'

/** `MC-1, MC-2: …` at the start of a test's name. */
const NAMED = /['"`]((?:M[CS]-\d+)(?:, M[CS]-\d+)*): /g

test('every rule of MCP is proven by tests that exist, or says what is missing', (t) => {
  const bad: string[] = []
  for (const [id, { tests, later }] of Object.entries(mcpRules)) {
    if (tests.length === 0 && later === undefined) bad.push(`${id}: nothing proves it`)
    for (const { file, name } of tests) {
      const path = join(repositoryRoot, file)
      if (!existsSync(path)) bad.push(`${id}: ${file} does not exist`)
      else if (!readFileSync(path, 'utf8').includes(name)) bad.push(`${id}: ${file} has no test "${name}"`)
    }
  }
  assert.deepEqual(bad, [])
  const partly = Object.values(mcpRules).filter(({ later }) => later !== undefined).length
  t.diagnostic(`${Object.keys(mcpRules).length} rules, ${partly} of them in part`)
})

test('no test names a rule that does not exist, and none in another file than the rule', () => {
  for (const file of globSync('test/{refusals,scenarios,unit}/**/*.test.ts', { cwd: repositoryRoot })) {
    for (const [, ids = ''] of readFileSync(join(repositoryRoot, file), 'utf8').matchAll(NAMED))
      for (const id of ids.split(', ')) {
        assert.ok(id in mcpRules, `${file}: ${id}`)
        assert.ok(mcpRules[id]?.tests.some((one) => one.file === file) === true, `${id} does not name ${file}`)
      }
  }
})

test('the checklist of the reference has as many points as the manifest', (t) => {
  const reference = join(repositoryRoot, '../shared/reference/mcp.md')
  if (!existsSync(reference)) return t.diagnostic('the reference is not beside this checkout: not compared')
  const points = readFileSync(reference, 'utf8').match(/^- \[ \] /gm) ?? []
  assert.equal(Object.keys(mcpRules).filter((id) => id.startsWith('MS-')).length, points.length)
})
