/** When a certificate by ACME is replaced, and how often an authority is asked. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import { dueAt, retryMilliseconds } from '../../../packages/server/src/acme/renewal-time.ts'

const minute = 60_000

test('it is due when a third of its life is left, a twentieth of the life sooner or later', () => {
  const life = { notBefore: epochMillis(0), notAfter: epochMillis(6000) }
  deepEqual(
    [0, 0.5, 1].map((chance) => Math.round(dueAt(life, chance))),
    [4300, 4000, 3700],
  )
  equal(dueAt({ notBefore: epochMillis(9), notAfter: epochMillis(5) }, 0.5), 5)
})

test('failures are 5 minutes apart, then twice as far, six hours at most, a tenth sooner or later', () => {
  const waits = [1, 2, 3, 7, 8, 1000].map((failures) => retryMilliseconds(failures, 0.5, null) / minute)
  deepEqual(waits, [5, 10, 20, 320, 360, 360])
  equal(retryMilliseconds(1, 0, null), 4.5 * minute)
  ok(retryMilliseconds(1, 0.999, null) < 5.5 * minute)
})

test('an authority that says when to come again is not asked sooner, and no sooner than otherwise', () => {
  equal(retryMilliseconds(1, 0.5, 7200), 120 * minute)
  equal(retryMilliseconds(1, 0.5, 1), 5 * minute)
})
