/** What every adapter of the ReplayGuard port must do. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import type { ReplayGuard } from '@doorward/enforcement'

export interface GuardUnderTest {
  readonly guard: ReplayGuard
  readonly now: () => EpochMillis
  /** Lets time pass, for the guard as for everybody. */
  readonly pass: (milliseconds: number) => Promise<void> | void
}

export function replayGuardContract(name: string, make: () => Promise<GuardUnderTest> | GuardUnderTest): void {
  const rule = (title: string, body: (subject: GuardUnderTest) => Promise<void>) =>
    void test(`${name}: ${title}`, async () => body(await make()))

  rule('an id is fresh once, and seen ever after', async ({ guard, now }) => {
    const until = epochMillis(now() + 60_000)
    equal(await guard.consume('a', until), 'fresh')
    for (let i = 0; i < 3; i++) equal(await guard.consume('a', until), 'seen')
    equal(await guard.consume('b', until), 'fresh')
  })

  rule('of many uses at once exactly one is fresh', async ({ guard, now }) => {
    const until = epochMillis(now() + 60_000)
    const answers = await Promise.all(Array.from({ length: 200 }, () => guard.consume('a', until)))
    deepEqual(
      [answers.filter((one) => one === 'fresh').length, answers.filter((one) => one === 'seen').length],
      [1, 199],
    )
  })

  rule('an id is remembered to the last moment that it is good', async ({ guard, now, pass }) => {
    const until = epochMillis(now() + 60_000)
    await guard.consume('a', until)
    await pass(60_000)
    equal(await guard.consume('a', until), 'seen')
  })
}
