import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { controls } from '../controls/controls.ts'
import { type Requirement, requirements } from '../requirements.ts'
import { recordSentences } from './record-sentences.ts'

const records = join(repositoryRoot, '../shared/requirements')

/** What the decisions themselves say; of these, nothing can be declined. */
const decided = /^(ADR11-(DEC|REQ|CON|CFG)-|OS25-D\d)/

for (const source of new Set(requirements.map((requirement) => requirement.source))) {
  test(`the manifest holds every sentence of ${source}, and no other`, (t) => {
    const path = join(records, source)
    if (!existsSync(path)) return t.diagnostic(`${source} is not beside this checkout: not compared`)
    const expected = recordSentences(readFileSync(path, 'utf8')).map(({ sentence }) => sentence)
    const held = requirements.filter((requirement) => requirement.source === source).map(({ sentence }) => sentence)
    // Sentences as such: the order of the manifest follows the record, and a repeated sentence counts each time.
    assert.deepEqual(held, expected)
  })
}

test('ids are unique', () => {
  const ids = requirements.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
})

test('what is done is proven by tests that exist, what is partly done by at least one', () => {
  assert.deepEqual(requirements.flatMap(unproven), [])
})

test('what is done names the control without which its test turns red', () => {
  const known = new Set(controls.map(({ name }) => name))
  const done = requirements.flatMap(({ id, proof }) => (proof.state === 'done' ? [{ id, control: proof.control }] : []))
  assert.deepEqual(
    done.filter(({ control }) => control === undefined || !known.has(control)),
    [],
  )
})

test('every control has its edits and its test where it says', () => {
  for (const { name, edits, test: proof } of controls) {
    for (const { file, from } of edits) {
      assert.equal(readFileSync(join(repositoryRoot, file), 'utf8').split(from).length, 2, `${name}: ${file}: ${from}`)
    }
    const named = readFileSync(join(repositoryRoot, proof.file), 'utf8')
    assert.ok(
      named.includes(proof.name) || named.includes(proof.name.replace(/ is refused$/, '')),
      `${name}: ${proof.name}`,
    )
  }
})

test('no sentence is open', () => {
  const open = requirements.filter(({ proof }) => proof.state === 'open').map(({ id }) => id)
  assert.deepEqual(open, [])
})

test('nothing that the decisions say is left to a record of ours', () => {
  const left = requirements.filter(({ id, proof }) => proof.state === 'decided' && decided.test(id))
  assert.deepEqual(left, [])
})

test('nothing that the decisions say is declined, and what is declined has a reason', () => {
  const declined = requirements.filter(({ proof }) => proof.state === 'declined')
  assert.deepEqual(
    declined.filter(({ id }) => decided.test(id)).map(({ id }) => id),
    [],
  )
  for (const { id, proof } of declined) assert.ok(proof.state === 'declined' && proof.reason.trim() !== '', id)
})

test('the states add up', (t) => {
  const counts = Object.groupBy(requirements, ({ proof }) => proof.state)
  const shown = Object.entries(counts).map(([state, list]) => `${list?.length ?? 0} ${state}`)
  t.diagnostic(`${requirements.length} sentences: ${shown.join(', ')}`)
})

/** The faults of one requirement's proof, as texts. */
function unproven({ id, proof }: Requirement): readonly string[] {
  if (proof.state === 'declined') return []
  if (proof.state === 'decided') {
    const path = join(repositoryRoot, proof.record)
    return existsSync(path) && readFileSync(path, 'utf8').includes(`\`${id}\``) ? [] : [`${id}: not in ${proof.record}`]
  }
  if (proof.state !== 'open' && proof.tests.length === 0) return [`${id}: ${proof.state} without a test`]
  return proof.tests.flatMap(({ file, name }) => {
    const path = join(repositoryRoot, file)
    if (!existsSync(path)) return [`${id}: ${file} does not exist`]
    return readFileSync(path, 'utf8').includes(name) ? [] : [`${id}: ${file} has no test "${name}"`]
  })
}

test('the sentences of a record are told apart from its form', () => {
  const markdown = [
    '# Title',
    '**Pros**:',
    'One thing. Another "thing" (e.g., this).',
    '> 1.  **Check:** Every one.',
    '- [ ] Do it',
    '---',
    '```yaml',
    'a:',
    '  # a comment',
    '  b: [x, 2]',
    '```',
  ].join('\n')
  assert.deepEqual(
    recordSentences(markdown).map(({ sentence }) => sentence),
    ['One thing.', 'Another "thing" (e.g., this).', 'Check: Every one.', 'Do it', 'a.b[0]: "x"', 'a.b[1]: 2'],
  )
})
