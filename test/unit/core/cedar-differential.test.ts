/** The closures of core against the official build, on policies, entities and requests by chance. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differences } from '../../fuzz/cedar-difference.ts'
import { everyOperator } from '../../fuzz/cedar-operators.ts'

/** As many again are in the test of wrong types. */
const PAIRS = 12_000

test('decision, determining policies and failures are those of the official build', () => {
  const { done, found, counts } = differences({ seed: 20_261_122, goOn: (done) => done < PAIRS })
  assert.deepEqual(found, [])
  assert(done >= PAIRS)
  const missing = everyOperator.filter((name) => (counts.get(name) ?? 0) < 10)
  assert.deepEqual(missing, [], 'an operator that hardly came')
  for (const kind of ['allow', 'deny', 'forbid', 'with errors'])
    assert((counts.get(`decision ${kind}`) ?? 0) > PAIRS / 10, `hardly a decision ${kind}`)
})
