/** Detectors of states, and what is told of everything that stands. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { Severity } from '@doorward/core'
import { ClockSteps, FailingServers, RecordProgress, StandingFindings } from '@doorward/enforcement'
import type { Found } from '@doorward/enforcement'

const wall = (now: number) => epochMillis(1_800_000_000_000 + now)

test('a server fails with five calls in a row, or half of those of ten seconds, until one succeeds', () => {
  const servers = new FailingServers(['files', 'other'], { inARow: 5, percent: 50, least: 10, seconds: 10 })
  for (let i = 0; i < 4; i++) servers.ended('files', true, 1000)
  assert.deepEqual(servers.look(1000), [])
  servers.ended('files', true, 1000)
  assert.deepEqual(servers.look(1000), [{ server: 'files', inARow: 5, failed: 5, calls: 5 }])
  assert.equal(servers.look(61_000).length, 1, 'silence is no success')
  servers.ended('files', false, 62_000)
  assert.deepEqual(servers.look(62_000), [])
  for (let i = 0; i < 10; i++) servers.ended('other', i % 2 === 0, 80_000)
  assert.deepEqual(servers.look(80_000), [{ server: 'other', inARow: 0, failed: 5, calls: 10 }])
  assert.deepEqual(servers.look(95_000), [])
  for (let i = 0; i < 5; i++) servers.ended('files', true, 100_000)
  assert.equal(servers.look(100_000).length, 1)
  assert.deepEqual(servers.look(100_000 + 600_001), [], 'nobody has asked for ten minutes')
  servers.ended('unknown', true, 800_000)
})

const progress = { state: 'open', failure: null, size: 0, checkpointSize: 0, queued: 0 }

test('a record is behind when what was there ten seconds ago is not covered, or nothing of what waits is written', () => {
  const record = new RecordProgress(10)
  const kinds = (facts: Partial<typeof progress>, second: number) =>
    record.look({ ...progress, ...facts }, second * 1000).map(({ kind }) => kind)
  for (let second = 0; second <= 20; second++)
    assert.deepEqual(
      kinds({ size: second * 100, checkpointSize: Math.max(0, second * 100 - 300), queued: 5 }, second),
      [],
    )
  for (let second = 21; second <= 40; second++) {
    const behind = kinds({ size: 2000 + second, checkpointSize: 1900 }, second)
    assert.deepEqual(behind, second >= 30 ? ['checkpoint_behind'] : [], `${second}`)
  }
  for (let second = 41; second <= 60; second++)
    assert.deepEqual(
      kinds({ size: 3000, checkpointSize: 3000, queued: 7 }, second),
      second >= 51 ? ['queue_behind'] : [],
      `${second}`,
    )
  assert.deepEqual(kinds({ size: 3001, checkpointSize: 3001, queued: 7 }, 61), [])
  assert.deepEqual(record.look({ ...progress, state: 'failed' }, 62_000), [
    { kind: 'refuses', state: 'failed', failure: null },
  ])
})

test('a clock that is set by five seconds is found, drift and late looks are not, and it ends when it is set back', () => {
  const steps = new ClockSteps(5)
  for (let second = 0; second < 100_000; second++) assert.equal(steps.look(second * 1001, second * 1000), null)
  const drifted = 99_999 * 1001
  assert.equal(steps.look(drifted + 40_000 + 7000, 99_999_000 + 40_000), 7000)
  assert.equal(steps.look(drifted + 41_000 + 7000, 99_999_000 + 41_000), 7000)
  assert.equal(steps.look(drifted + 42_000, 99_999_000 + 42_000), null)
  assert.equal(steps.look(drifted + 43_000 - 9000, 99_999_000 + 43_000), -9000)
  const accepted = 99_999_000 + 43_000 + 3_600_000
  assert.equal(steps.look(drifted + 43_000 - 9000 + 3_600_000, accepted), null)
})

const found = (subject: string, severity: Severity = 'medium'): Found => ({
  detector: 'limit_exhausted',
  subject,
  severity,
  detail: 'test',
})

test('what stands is told once, what is worse is told again, and what flaps begins once a minute', () => {
  const standing = new StandingFindings()
  const told = (all: readonly Found[], now: number) => {
    const { begun, worsened, ended } = standing.replace(all, now, wall(now))
    return [begun.length, worsened.length, ended.length]
  }
  assert.deepEqual(told([found('a')], 0), [1, 0, 0])
  assert.deepEqual(told([found('a')], 1000), [0, 0, 0])
  assert.deepEqual(told([found('a', 'critical')], 2000), [0, 1, 0])
  assert.deepEqual(told([found('a', 'low')], 3000), [0, 0, 0])
  assert.deepEqual(standing.current(), [{ ...found('a', 'critical'), since: wall(0) }])
  assert.deepEqual(told([], 4000), [0, 0, 1])
  for (let now = 5000; now < 60_000; now += 1000)
    assert.deepEqual(told(now % 2000 === 0 ? [found('a')] : [], now), [0, 0, 0])
  assert.deepEqual(told([found('a')], 60_000), [1, 0, 0])
  assert.deepEqual(told([], 61_000), [0, 0, 1])
  assert.deepEqual(told([found('a', 'high')], 62_000), [1, 0, 0], 'worse than what a minute had already')
})

test('however much is found, so much stands and begins', () => {
  const standing = new StandingFindings()
  const many = Array.from({ length: 5000 }, (_, i) => found(`s${i}`))
  assert.equal(standing.replace(many, 0, wall(0)).begun.length, 512)
  assert.equal(standing.current().length, 512)
  assert.equal(standing.replace([], 1000, wall(1000)).ended.length, 512)
  assert.equal(standing.replace(many, 2000, wall(2000)).begun.length, 0)
})

test('what stood when the process before ended goes on, or ends', () => {
  const before = [
    { ...found('a'), since: wall(0) },
    { ...found('b'), since: wall(0) },
  ]
  const standing = new StandingFindings(before)
  const { begun, ended } = standing.replace([found('a')], 5000, wall(5000))
  assert.deepEqual([begun, ended], [[], [before[1]]])
  assert.equal(standing.current()[0]?.since, wall(0))
})
