/** The same with policies that often ask of a value what its type does not have. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differences } from '../../fuzz/cedar-difference.ts'

const PAIRS = 12_000

test('policies with wrong types decide and fail as under the official build', () => {
  const tastes = { wrongTypes: 0.15, args: 0.1 }
  const { done, found, counts } = differences({ seed: 20_261_123, tastes, goOn: (done) => done < PAIRS })
  assert.deepEqual(found, [])
  assert(done >= PAIRS)
  assert((counts.get('decision with errors') ?? 0) > PAIRS / 3, 'hardly a failure')
  assert((counts.get('decision allow') ?? 0) > PAIRS / 20, 'hardly an allow')
})
