/** The generated comparisons, as few of them as notice a mutant soon. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differences } from '../fuzz/cedar-difference.ts'
import { wrongOutcomes, wrongOutlooks } from '../fuzz/cedar-outlooks.ts'

for (const [seed, pairs] of [
  [1, 200],
  [2, 600],
  [3, 1200],
] as const) {
  test(`${pairs} pairs are decided as by the official build`, () => {
    assert.deepEqual(differences({ seed, goOn: (done) => done < pairs, shrink: false }).found, [])
  })
}

test('outlooks hold', () => {
  assert.deepEqual(wrongOutlooks(1, 60).found, [])
})

test('outcomes are among those that may be', () => {
  assert.deepEqual(wrongOutcomes(1, 400).found, [])
})
