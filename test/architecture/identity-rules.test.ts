import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { identityRules } from '../requirements/identity.ts'
import type { IdentityRule } from '../requirements/identity.ts'

const REFERENCE = join(repositoryRoot, '../shared/reference/identity.md')
/** They name tests, and prove nothing. */
const ELSEWHERE = ['test/controls/**', 'test/requirements/**', 'test/requirements.ts']
/** `SID-1: …` or `SID-1, SID-2: …` at the start of a test's name. */
const NAMED = /['"`]((?:[A-Z][A-Z0-9]*-\d+)(?:, [A-Z][A-Z0-9]*-\d+)*): /g

function provenBy(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const file of globSync('test/**/*.ts', { cwd: repositoryRoot, exclude: ELSEWHERE })) {
    for (const [, ids = ''] of readFileSync(join(repositoryRoot, file), 'utf8').matchAll(NAMED)) {
      for (const id of ids.split(', ')) found.set(id, [...(found.get(id) ?? []), file])
    }
  }
  return found
}

const rules: readonly (readonly [string, IdentityRule])[] = Object.entries(identityRules)

test('every rule of identity is proven by a test that names it, or says what it waits for', (t) => {
  const proven = provenBy()
  const bare = rules.filter(([id, { later }]) => later === undefined && !proven.has(id)).map(([id]) => id)
  assert.deepEqual(bare, [])
  const waiting = rules.filter(([, { later }]) => later !== undefined)
  t.diagnostic(`${rules.length} rules: ${rules.length - waiting.length} proven, ${waiting.length} wait`)
})

test('no test names a rule that does not exist', () => {
  const prefixes = new Set(rules.map(([id]) => id.slice(0, id.indexOf('-'))))
  const unknown = [...provenBy().keys()].filter(
    (id) => prefixes.has(id.slice(0, id.indexOf('-'))) && !(id in identityRules),
  )
  assert.deepEqual(unknown, [])
})

test('the manifest has every rule of the reference that is about these', (t) => {
  let text: string
  try {
    text = readFileSync(REFERENCE, 'utf8')
  } catch {
    return t.diagnostic('the reference is not beside this checkout: not compared')
  }
  const listed = [...text.matchAll(/\*\*((?:SID|X5|JW|WE|WA|BR|TB|CA|BS|RV|RP|DT|DX|TR|OP|WI|FD)-\d+)\*\*/g)].map(
    ([, id]) => id,
  )
  assert.deepEqual(
    listed.filter((id = '') => !(id in identityRules)),
    [],
  )
})
