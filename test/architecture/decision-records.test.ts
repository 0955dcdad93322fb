import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'

const folder = join(repositoryRoot, 'docs/adr')
const records = readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md')
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

test('every decision record is in the index, under a number of its own', () => {
  const index = read('README.md')
  for (const name of records) assert.ok(index.includes(`(${name})`), name)
  const numbers = records.map((name) => name.slice(0, 4))
  assert.equal(new Set(numbers).size, numbers.length)
})

test('a decision record says its status, and fits on one page', () => {
  for (const name of records) {
    const text = read(name)
    assert.match(name, /^\d{4}-[a-z0-9-]+\.md$/)
    assert.match(text, /^Status: (accepted|superseded by \d{4})$/m, name)
    assert.ok(text.split(/\s+/).length < 900, `${name} is longer than a page`)
  }
})
