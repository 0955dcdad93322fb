/** Detectors by rate: nobody who stands out is missed, nobody innocent is named, and memory does not grow, whoever comes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { deny, RefusalRates } from '@doorward/enforcement'
import type { DenialCode, RefusalThresholds } from '@doorward/enforcement'
import { RateJump } from '../../../packages/enforcement/src/detect/rate-jump.ts'
import { SubjectRate } from '../../../packages/enforcement/src/detect/subject-rate.ts'
import { WindowedSketch } from '../../../packages/enforcement/src/detect/windowed-sketch.ts'
import { addressKey } from '../../../packages/enforcement/src/wire/remote-address.ts'

const SECOND = 1000
const MINUTE = 60_000
const seed = 0x5eed1234

test('property: an estimate is never below what was counted within the window, nor above what came within a sixth more', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 4000 })), {
    maxLength: 300,
  })
  fc.assert(
    fc.property(steps, fc.integer(), (events, anySeed) => {
      // Two cells a row: every key collides with others.
      const narrow = new WindowedSketch({ windowMilliseconds: 6000, width: 2, seed: anySeed })
      const wide = new WindowedSketch({ windowMilliseconds: 6000, width: 4096, seed: anySeed })
      const seen: { key: string; at: number }[] = []
      let now = 50_000
      for (const [key, pause] of events) {
        now += pause
        seen.push({ key: `k${key}`, at: now })
        narrow.add(`k${key}`, now)
        wide.add(`k${key}`, now)
      }
      for (let key = 0; key < 10; key++) {
        const within = (window: number) => seen.filter((one) => one.key === `k${key}` && now - one.at < window).length
        assert.ok(narrow.estimate(`k${key}`, now) >= within(6000))
        const estimate = wide.estimate(`k${key}`, now)
        assert.ok(estimate >= within(6000) && estimate <= within(7000), `${estimate}`)
      }
    }),
  )
})

test('a window that has passed leaves nothing behind, after however long a pause', () => {
  const sketch = new WindowedSketch({ windowMilliseconds: MINUTE, width: 16, seed })
  for (let i = 0; i < 70_000; i++) sketch.add('a', 1000)
  assert.equal(sketch.estimate('a', 1000), 65_535)
  assert.equal(sketch.estimate('a', 1000 + 2 * MINUTE), 0)
  sketch.add('b', 1000 + 24 * 60 * MINUTE)
  assert.equal(sketch.estimate('a', 1000 + 24 * 60 * MINUTE), 0)
})

const address = (i: number) => `${1 + (i >> 24)}.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`

const off: RefusalThresholds = {
  authenticationFailures: null,
  limitExhausted: null,
  deniedRate: null,
  deniedRateAll: null,
}

function rates(thresholds: Partial<RefusalThresholds>) {
  const time = { now: 1_000_000 }
  const watched = new RefusalRates({
    ...off,
    ...thresholds,
    sourceKey: addressKey,
    random: () => seed,
    monotonic: () => time.now,
  })
  return { time, watched }
}

const stranger = (code: DenialCode) => deny(code, 'test')
const known = (code: DenialCode, id: string) =>
  deny(code, 'test', { caller: { id, certificateFingerprint: '', certificateSerial: '' } })
const subjects = (watched: RefusalRates) => watched.look().map(({ detector, subject }) => `${detector} ${subject}`)

test('100,000 rotating addresses neither take memory nor hide the one that keeps trying', () => {
  const { time, watched } = rates({ authenticationFailures: { count: 20, seconds: 60 } })
  const { bytes } = watched
  const refusal = stranger('certificate_missing')
  const before = process.memoryUsage()
  for (let i = 0; i < 100_000; i++) {
    watched.refused(address(i), refusal)
    // Three seconds apart: 20 within the minute that all this takes.
    if (i % 5000 === 2500) watched.refused('203.0.113.7', refusal)
    time.now += 0.59
  }
  assert.deepEqual(subjects(watched), ['authentication_failures 203.0.113.7'])
  assert.equal(watched.bytes, bytes)
  assert.ok(bytes < 4 * 1024 * 1024, `${bytes} bytes`)
  assert.ok(process.memoryUsage().arrayBuffers - before.arrayBuffers < 1024 * 1024)
})

test('whoever comes when all names are taken is told of together with others, and by name as soon as one is free', () => {
  const rate = new SubjectRate({ count: 10, seconds: 60, width: 16_384, seed, most: 64 })
  for (let source = 0; source < 1000; source++) for (let i = 0; i < 10; i++) rate.add(address(source), 1000)
  const crowd = rate.look(1000)
  assert.equal(crowd.length, 65)
  assert.equal(crowd.at(-1)?.subject, 'others')
  for (let i = 0; i < 10; i++) rate.add('203.0.113.7', 2000)
  assert.ok(!rate.look(2000).some(({ subject }) => subject === '203.0.113.7'))
  const later = 1000 + 71 * SECOND
  rate.look(later)
  for (let i = 0; i < 10; i++) rate.add('203.0.113.7', later)
  assert.deepEqual(
    rate.look(later).map(({ subject }) => subject),
    ['203.0.113.7'],
  )
})

test('failures to authenticate are counted by address, by /64 and by identity; limits and our own failings are not among them', () => {
  const { watched, time } = rates({
    authenticationFailures: { count: 5, seconds: 60 },
    limitExhausted: { count: 5, seconds: 60 },
  })
  for (let i = 0; i < 4; i++) watched.handshakeRefused('192.0.2.1', 'certificate_untrusted')
  assert.deepEqual(subjects(watched), [])
  watched.handshakeRefused('192.0.2.1', 'certificate_untrusted')
  for (let i = 0; i < 5; i++) watched.handshakeRefused(`2001:db8::${i}`, 'certificate_missing')
  for (let i = 0; i < 5; i++) watched.refused(`192.0.2.${10 + i}`, known('token_expired', 'spiffe://test.example/a'))
  for (let i = 0; i < 50; i++) {
    watched.refused('192.0.2.90', stranger('trust_stale'))
    watched.refused('192.0.2.91', known('policy_denied', 'spiffe://test.example/b'))
    watched.handshakeRefused('192.0.2.92', 'tls_aborted')
  }
  assert.deepEqual(subjects(watched).toSorted(), [
    'authentication_failures 192.0.2.1',
    'authentication_failures 2001:db8:0:0::/64',
    'authentication_failures spiffe://test.example/a',
  ])
  for (let i = 0; i < 5; i++) {
    watched.refused('192.0.2.93', stranger('limit_ip'))
    watched.refused('192.0.2.94', known('limit_user', 'spiffe://test.example/c'))
    watched.handshakeRefused('192.0.2.95', 'handshake_rate')
    watched.refused('192.0.2.96', stranger('limit_global'))
  }
  const limited = subjects(watched)
    .filter((one) => one.startsWith('limit_exhausted'))
    .toSorted()
  assert.deepEqual(limited, [
    'limit_exhausted 192.0.2.93',
    'limit_exhausted 192.0.2.94',
    'limit_exhausted 192.0.2.95',
    'limit_exhausted all',
    'limit_exhausted spiffe://test.example/c',
  ])
  time.now += 2 * MINUTE
  assert.deepEqual(subjects(watched), [])
})

const jump = { seconds: 60, least: 60, times: 5, most: 600, width: 2048, seed }
/** So many a minute, for so many minutes; the time after. */
function refuse(rate: RateJump, from: number, perMinute: number, minutes: number): number {
  const total = Math.round(perMinute * minutes)
  for (let i = 0; i < total; i++) rate.add('a', from + (i * minutes * MINUTE) / total)
  return from + minutes * MINUTE
}

test('denied rate: a jump over the own last hour is found, few are none, and what is usual is none', () => {
  const rate = new RateJump(jump, 0)
  let now = refuse(rate, 0, 30, 30)
  assert.deepEqual(rate.look(now), [])
  now = refuse(rate, now, 55, 2)
  assert.deepEqual(rate.look(now), [])
  now = refuse(rate, now, 200, 1)
  const [found] = rate.look(now)
  assert.ok(found !== undefined && found.usual !== null && found.usual > 25 && found.usual < 45)
  assert.equal(found.tooMany, false)
  now = refuse(rate, now, 30, 2)
  assert.deepEqual(rate.look(now), [])
  const usual = new RateJump(jump, 0)
  now = refuse(usual, 0, 300, 59)
  assert.deepEqual(usual.look(now), [])
})

test('denied rate: a slow ramp is caught by the bound that nobody may pass', () => {
  const rate = new RateJump(jump, 0)
  let now = 0
  let caughtAt = 0
  for (let perMinute = 10; perMinute <= 800 && caughtAt === 0; perMinute *= 1.02) {
    now = refuse(rate, now, perMinute, 1)
    const [found] = rate.look(now)
    if (found !== undefined) {
      caughtAt = perMinute
      assert.ok(found.tooMany, `a jump at ${perMinute}`)
    }
  }
  assert.ok(caughtAt > 450 && caughtAt < 650, `${caughtAt}`)
})

test('denied rate: just after a start only that bound counts, for nothing is known to be usual', () => {
  const rate = new RateJump(jump, 0)
  let now = refuse(rate, 0, 400, 1)
  assert.deepEqual(rate.look(now), [])
  now = refuse(rate, now, 700, 1)
  assert.equal(rate.look(now)[0]?.tooMany, true)
})

test('counting a refusal costs less than a few microseconds', (t) => {
  const threshold = { count: 1000, seconds: 60 }
  const { watched, time } = rates({
    authenticationFailures: threshold,
    limitExhausted: threshold,
    deniedRate: jump,
    deniedRateAll: jump,
  })
  const refusal = known('token_expired', 'spiffe://test.example/agent/planner')
  const round = (count: number) => {
    const began = performance.now()
    for (let i = 0; i < count; i++) {
      time.now += 0.01
      watched.refused('192.0.2.1', refusal)
    }
    return ((performance.now() - began) * 1e6) / count
  }
  round(20_000)
  const nanoseconds = Math.min(...Array.from({ length: 5 }, () => round(20_000)))
  t.diagnostic(`${Math.round(nanoseconds)} ns a refusal`)
  assert.ok(nanoseconds < 20_000)
})
