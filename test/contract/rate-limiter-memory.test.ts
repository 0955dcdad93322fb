import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { Take } from '@doorward/enforcement'
import { MemoryRateLimiter } from '../../packages/enforcement/src/memory-rate-limiter.ts'
import { rateLimiterContract } from './rate-limiter.ts'

rateLimiterContract('memory', () => {
  let now = 0
  const limiter = new MemoryRateLimiter({ monotonic: () => now })
  return {
    limiter,
    pass: (milliseconds) => {
      now += milliseconds
    },
  }
})

const take = (key: string): Take => ({ scope: 'user', key, rate: { count: 2, periodSeconds: 60 } })

test('a full table refuses unknown keys and goes on serving known ones', async () => {
  const limiter = new MemoryRateLimiter({ monotonic: () => 0, capacity: 3 })
  for (const key of ['a', 'b', 'c']) equal((await limiter.take([take(key)])).ok, true)
  equal((await limiter.take([take('d')])).ok, false)
  equal((await limiter.take([take('a')])).ok, true)
  equal(limiter.size, 3)
})

test('a full table makes room once entries have refilled', async () => {
  let now = 0
  const limiter = new MemoryRateLimiter({ monotonic: () => now, capacity: 3 })
  for (const key of ['a', 'b', 'c']) await limiter.take([take(key)])
  now = 61_000
  equal((await limiter.take([take('d')])).ok, true)
  equal(limiter.size, 1)
})
