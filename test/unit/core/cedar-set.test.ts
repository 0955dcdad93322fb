/** Sets of Cedar, small and large. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decimal } from '../../../packages/core/src/policy/cedar/decimal.ts'
import { CedarSet, EntityUid, equal } from '../../../packages/core/src/policy/cedar/value.ts'
import type { Value } from '../../../packages/core/src/policy/cedar/value.ts'

test('a set has what equals one of its members, however many they are', () => {
  const kinds: readonly ((i: number) => Value)[] = [
    (i) => i,
    (i) => BigInt(i) + 2n ** 60n,
    (i) => `text ${i}`,
    (i) => i % 2 === 0,
    (i) => new EntityUid('T', String(i)),
    (i) => new EntityUid('S', String(i)),
    (i) => new CedarSet([i]),
    (i) => new Map<string, Value>([['n', i]]),
    (i) => Decimal.parse(`${i}.5`),
  ]
  for (const size of [0, 1, 2, 7, 8, 9, 40]) {
    const given = Array.from({ length: size }, (_, i) => kinds[i % kinds.length]!(Math.floor(i / 3)))
    const twice = new CedarSet([...given, ...given])
    const distinct = given.filter((value, at) => given.findIndex((one) => equal(one, value)) === at)
    assert.deepEqual(twice.members, distinct)
    for (const kind of kinds)
      for (let i = -1; i < size; i++)
        assert.equal(
          twice.has(kind(i)),
          given.some((one) => equal(one, kind(i))),
        )
    assert.ok(twice.hasAll(new CedarSet(given)) && new CedarSet(given).hasAll(twice))
    assert.equal(twice.hasAny(new CedarSet(given.slice(-1))), size > 0)
    assert.equal(twice.hasAny(new CedarSet(['nothing of it', 99])), false)
  }
})
