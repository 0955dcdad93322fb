/** What is said of unknown arguments, callers and resources, against what then happens. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wrongOutcomes, wrongOutlooks } from '../../fuzz/cedar-outlooks.ts'

const SEED = 20_261_122

test('an outlook of deny or allow holds for all arguments, and no policy comes out as it was excluded', () => {
  const { found, counts } = wrongOutlooks(SEED, 3000)
  assert.deepEqual(found, [])
  for (const outlook of ['deny', 'allow', 'depends'])
    assert((counts.get(`outlook ${outlook}`) ?? 0) > 100, `hardly an outlook of ${outlook}`)
  for (const verdict of ['deny', 'allow'])
    assert((counts.get(`depends and then ${verdict}`) ?? 0) > 100, `hardly a ${verdict} where it depends`)
})

test('an expression comes out as one of what it may be, whatever of the request is unknown', () => {
  const { found } = wrongOutcomes(SEED, 20_000)
  assert.deepEqual(found, [])
})
