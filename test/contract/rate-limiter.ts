/** What every adapter of the RateLimiter port must do. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { RateLimiter, Take } from '@doorward/enforcement'

export interface LimiterUnderTest {
  readonly limiter: RateLimiter
  /** Lets time pass, for the limiter as for everybody. */
  readonly pass: (milliseconds: number) => Promise<void> | void
}

const user = (key: string, count = 3, periodSeconds = 60): Take => ({
  scope: 'user',
  key,
  rate: { count, periodSeconds },
})

export function rateLimiterContract(name: string, make: () => Promise<LimiterUnderTest> | LimiterUnderTest): void {
  const rule = (title: string, body: (subject: LimiterUnderTest) => Promise<void>) =>
    void test(`${name}: ${title}`, async () => body(await make()))

  rule('a rate admits its count and then refuses with the time to wait', async ({ limiter }) => {
    for (let i = 0; i < 3; i++) equal((await limiter.take([user('a')])).ok, true)
    deepEqual(await limiter.take([user('a')]), { ok: false, scope: 'user', index: 0, retryAfterSeconds: 20 })
  })

  rule('what was used comes back evenly', async ({ limiter, pass }) => {
    for (let i = 0; i < 3; i++) await limiter.take([user('a')])
    await pass(20_000)
    equal((await limiter.take([user('a')])).ok, true)
    equal((await limiter.take([user('a')])).ok, false)
  })

  rule('keys do not share', async ({ limiter }) => {
    for (let i = 0; i < 3; i++) await limiter.take([user('a')])
    equal((await limiter.take([user('b')])).ok, true)
  })

  rule('scopes with equal keys do not share', async ({ limiter }) => {
    for (let i = 0; i < 3; i++) await limiter.take([user('a')])
    equal((await limiter.take([{ ...user('a'), scope: 'ip' }])).ok, true)
  })

  rule('several takes consume from all or from none, and the first exhausted one is named', async ({ limiter }) => {
    const global: Take = { scope: 'global', key: 'all', rate: { count: 4, periodSeconds: 60 } }
    for (let i = 0; i < 3; i++) await limiter.take([user('a')])
    for (let i = 0; i < 10; i++) {
      const result = await limiter.take([global, user('a')])
      equal(result.ok === false && result.scope, 'user')
    }
    for (let i = 0; i < 4; i++) equal((await limiter.take([global, user(`b${i}`)])).ok, true)
    const result = await limiter.take([global, user('c')])
    equal(result.ok === false && result.scope, 'global')
  })

  rule('two takes of one key in one call count twice', async ({ limiter }) => {
    equal((await limiter.take([user('a'), user('a')])).ok, true)
    equal((await limiter.take([user('a'), user('a')])).ok, false)
    equal((await limiter.take([user('a')])).ok, true)
  })

  const bytes = (weight: number): Take => ({
    scope: 'bytes',
    key: 'a',
    rate: { count: 600, periodSeconds: 60 },
    weight,
  })

  rule('a take weighs what it says, and one that is too heavy consumes nothing', async ({ limiter }) => {
    equal((await limiter.take([bytes(500)])).ok, true)
    deepEqual(await limiter.take([user('a'), bytes(101)]), {
      ok: false,
      scope: 'bytes',
      index: 1,
      retryAfterSeconds: 1,
    })
    equal((await limiter.take([bytes(100)])).ok, true)
    equal((await limiter.take([bytes(1)])).ok, false)
    for (let i = 0; i < 3; i++) equal((await limiter.take([user('a')])).ok, true)
  })

  rule('what is charged is owed: nothing is taken before it has come back', async ({ limiter, pass }) => {
    equal(await limiter.charge([bytes(400)]), true)
    equal(await limiter.charge([bytes(200)]), true)
    equal(await limiter.charge([bytes(300)]), false)
    deepEqual(await limiter.take([bytes(0)]), { ok: false, scope: 'bytes', index: 0, retryAfterSeconds: 30 })
    await pass(29_000)
    equal((await limiter.take([bytes(0)])).ok, false)
    await pass(2000)
    equal((await limiter.take([bytes(0)])).ok, true)
    equal((await limiter.take([bytes(11)])).ok, false)
    equal((await limiter.take([bytes(10)])).ok, true)
  })

  rule('concurrent takes never admit more than the count', async ({ limiter }) => {
    const results = await Promise.all(Array.from({ length: 50 }, () => limiter.take([user('a', 10)])))
    equal(results.filter(({ ok }) => ok).length, 10)
  })
}
