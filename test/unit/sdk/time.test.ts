/** The two clocks of a program: what passed while the machine slept, and how far the authority's is away. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { DoorwardError } from '@doorward/core'
import { SkewWatch } from '../../../packages/sdk/src/authority-time.ts'
import { elapsedOf, systemElapsed } from '../../../packages/sdk/src/elapsed.ts'

test('time that the machine slept through has passed', () => {
  const at = { monotonic: 1000, boot: 501_000 }
  const elapsed = elapsedOf({ monotonic: () => at.monotonic, sinceBoot: () => at.boot })
  const first = elapsed()
  at.monotonic += 100
  at.boot += 100
  assert.equal(elapsed() - first, 100)
  at.monotonic += 60
  at.boot += 3_600_060
  assert.equal(elapsed() - first, 3_600_160)
  at.monotonic += 60
  at.boot += 60
  assert.equal(elapsed() - first, 3_600_220)
})

test('a coarse clock of the machine takes nothing back and adds nothing', () => {
  const at = { monotonic: 0 }
  const elapsed = elapsedOf({ monotonic: () => at.monotonic, sinceBoot: () => Math.floor(at.monotonic / 1000) * 1000 })
  for (let step = 0; step < 1000; step++) {
    at.monotonic += 137
    assert.equal(elapsed(), at.monotonic)
  }
})

test('the machine’s own clocks agree', () => {
  const [before, now] = [systemElapsed(), performance.now()]
  assert.ok(before <= now + 1 && systemElapsed() >= before)
})

test('the authority’s time is compared, and told at most once a minute', () => {
  const at = { wall: 1_800_000_000_000, monotonic: 5000 }
  const told: unknown[] = []
  const watch = new SkewWatch({
    wall: () => epochMillis(at.wall),
    monotonic: () => at.monotonic,
    onProblem: (error) => told.push(error),
  })
  const pass = (milliseconds: number) => {
    at.wall += milliseconds
    at.monotonic += milliseconds
  }
  const hear = (ahead: number, taken = 0) => {
    const asked = at.monotonic
    pass(taken)
    watch.heard(String(at.wall + ahead), asked)
    return told.splice(0).map((error) => (error as DoorwardError).code)
  }
  assert.deepEqual(hear(10_000), [])
  assert.deepEqual(hear(-10_000), [])
  assert.deepEqual(hear(10_001), ['clock_skewed'])
  assert.deepEqual(hear(3_600_000), [])
  pass(60_000)
  assert.deepEqual(hear(-3_600_000), ['clock_skewed'])
  pass(60_000)
  assert.deepEqual(hear(9000, 4000), [], 'how long the answer took counts for it')
  assert.deepEqual(hear(16_000, 4000), ['clock_skewed'])
})

test('a header that is no time is nothing', () => {
  const watch = new SkewWatch({ wall: () => epochMillis(1), monotonic: () => 0, onProblem: () => assert.fail() })
  for (const header of [undefined, '', '-5', '1e9', 'now', '12 ', ['1', '2'], '9999999999999999'])
    watch.heard(header, 0)
})
