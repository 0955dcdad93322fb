import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { agentRules } from '../requirements/agents.ts'

test('every rule of agents is proven by tests that exist, or says what is missing', () => {
  const bad: string[] = []
  for (const [id, { tests, later }] of Object.entries(agentRules)) {
    if (tests.length === 0 && later === undefined) bad.push(`${id}: nothing proves it`)
    for (const { file, name } of tests) {
      const path = join(repositoryRoot, file)
      if (!existsSync(path)) bad.push(`${id}: ${file} does not exist`)
      else if (!readFileSync(path, 'utf8').includes(`'${name}'`)) bad.push(`${id}: ${file} has no test "${name}"`)
    }
  }
  assert.deepEqual(bad, [])
})
