/** When the authority's clock may be relied upon. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import { ClockGuard } from '../../../packages/server/src/authority/clock-guard.ts'

const hour = 3_600_000
const start = 1_800_000_000_000

function guarded({ storeVouches = false } = {}) {
  const at = { wall: start, elapsed: 77 }
  const guard = new ClockGuard({
    clock: () => epochMillis(at.wall),
    elapsed: () => at.elapsed,
    storeVouches,
  })
  return {
    guard,
    pass: (milliseconds: number) => {
      at.wall += milliseconds
      at.elapsed += milliseconds
    },
    step: (milliseconds: number) => void (at.wall += milliseconds),
    codes: () => guard.problems().map(({ code, stops }) => (stops ? code : `${code}?`)),
  }
}

test('OP-11: a step of the clock stops everything, in either direction, until the clock is right again', () => {
  for (const step of [hour, -hour, 5001, -5001]) {
    const { guard, pass, step: set, codes } = guarded()
    assert.equal(guard.unfit(), null)
    pass(90 * 60_000)
    assert.deepEqual(codes(), [])
    set(step)
    assert.deepEqual(codes(), ['clock_stepped'])
    pass(10 * hour)
    assert.deepEqual(codes(), ['clock_stepped'], 'time heals no step')
    set(-step)
    assert.deepEqual(codes(), [])
  }
})

test('corrections that time daemons make are no step, and do not add up to one', () => {
  const { pass, step, codes } = guarded()
  for (let hours = 0; hours < 24; hours++) {
    step(900)
    pass(hour)
    assert.deepEqual(codes(), [])
  }
  step(4000)
  assert.deepEqual(codes(), [])
})

test('a machine that slept has not had its clock set', () => {
  const { pass, codes } = guarded()
  assert.deepEqual(codes(), [])
  pass(8 * hour)
  assert.deepEqual(codes(), [])
})

test('OP-11: a clock behind what is on record waits until that is past', () => {
  const { guard, pass, codes } = guarded()
  guard.hasReached(epochMillis(start + 61_000))
  assert.deepEqual(codes(), ['clock_behind'])
  pass(30_000)
  assert.deepEqual(codes(), ['clock_behind'], 'past means past')
  pass(31_000)
  assert.deepEqual(codes(), [])
  const near = guarded()
  near.guard.hasReached(epochMillis(start + 59_000))
  assert.deepEqual(near.codes(), [])
})

test('a clock that was behind at start and is set right needs no new start', () => {
  const { guard, step, codes } = guarded()
  guard.hasReached(epochMillis(start + hour))
  assert.deepEqual(codes(), ['clock_behind'])
  step(hour + 1000)
  assert.deepEqual(codes(), [])
})

test('OP-11: a clock apart from the store’s is told, and stops everything beyond a minute', () => {
  for (const [ahead, expected] of [
    [10_000, []],
    [-10_001, ['clock_skewed?']],
    [60_000, ['clock_skewed?']],
    [60_001, ['clock_skewed']],
    [-hour, ['clock_skewed']],
  ] as const) {
    const { guard, codes } = guarded({ storeVouches: true })
    guard.heardStore(ahead)
    assert.deepEqual(codes(), expected, String(ahead))
  }
})

test('a store with a clock of its own vouches for a clock that was set right', () => {
  const { guard, pass, step, codes } = guarded({ storeVouches: true })
  guard.heardStore(0)
  assert.deepEqual(codes(), [])
  step(hour)
  assert.deepEqual(codes(), ['clock_stepped'], 'what the store said before the step says nothing about it')
  pass(1000)
  guard.heardStore(-hour)
  assert.deepEqual(codes(), ['clock_skewed'])
  guard.heardStore(300)
  assert.deepEqual(codes(), [])
  step(-hour)
  assert.deepEqual(codes(), ['clock_stepped'], 'it is right as it was found last')
})

test('a store on the same clock vouches for nothing', () => {
  const { guard, pass, step, codes } = guarded()
  assert.deepEqual(codes(), [])
  step(hour)
  pass(1000)
  guard.heardStore(0)
  assert.deepEqual(codes(), ['clock_stepped'])
})
