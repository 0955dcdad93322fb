import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { attacks } from '../requirements/attack-checklist.ts'
import { faults } from '../requirements/fault-model.ts'
import { threats } from '../requirements/threat-model.ts'
import { threatIds } from '../requirements/threats.ts'

const REFERENCE = join(repositoryRoot, '../shared/reference/threats.md')

test('every row of attacks, threats and faults is proven by tests that exist, or says what is missing', (t) => {
  const bad: string[] = []
  for (const [id, { state, tests, later }] of threatIds) {
    if ((state === 'done' || state === 'partial') && tests.length === 0) bad.push(`${id}: ${state} without a test`)
    if (state !== 'done' && (later ?? '') === '') bad.push(`${id}: ${state} without a reason`)
    for (const { file, name } of tests) {
      const path = join(repositoryRoot, file)
      if (!existsSync(path)) bad.push(`${id}: ${file} does not exist`)
      else if (!readFileSync(path, 'utf8').includes(name)) bad.push(`${id}: ${file} has no test "${name}"`)
    }
  }
  assert.deepEqual(bad, [])
  const counts = Object.entries(Object.groupBy(threatIds.values(), ({ state }) => state))
  t.diagnostic(counts.map(([state, rows]) => `${rows?.length ?? 0} ${state}`).join(', '))
})

test('the manifest has every row of the reference, in its order', (t) => {
  if (!existsSync(REFERENCE)) return t.diagnostic('the reference is not beside this checkout: not compared')
  const text = readFileSync(REFERENCE, 'utf8')
  for (const [section, rows, column] of [
    ['## 4.', attacks, 1],
    ['## 5.', threats, 3],
    ['## 6.', faults, 1],
  ] as const) {
    const listed = rowsOf(text, section, column)
    assert.equal(rows.length, listed.length, section)
    for (const [i, { row }] of rows.entries()) assert.ok(listed[i]?.startsWith(row), `${section} ${listed[i]}: ${row}`)
  }
})

/** The first words of each row of the table of a section. */
function rowsOf(text: string, section: string, column: number): readonly string[] {
  const begin = text.indexOf(`\n${section}`)
  const end = text.indexOf('\n## ', begin + 1)
  const lines = text.slice(begin, end).split('\n')
  const rule = lines.findIndex((line) => line.startsWith('|---'))
  return lines
    .slice(rule + 1)
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|')[column]?.trim() ?? '')
}
