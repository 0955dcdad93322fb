import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import { MemoryReplayGuard } from '../../packages/server/src/state/memory-replay-guard.ts'
import { replayGuardContract } from './replay-guard.ts'

function subject(capacity?: number) {
  let now = 1_000_000
  const guard = new MemoryReplayGuard({ now: () => epochMillis(now), ...(capacity === undefined ? {} : { capacity }) })
  return { guard, now: () => epochMillis(now), pass: (milliseconds: number) => void (now += milliseconds) }
}

replayGuardContract('memory', () => subject())

test('RP-5: a full table refuses, and forgets nothing that is still good', async () => {
  const { guard, now } = subject(3)
  const until = epochMillis(now() + 60_000)
  for (const id of ['a', 'b', 'c']) equal(await guard.consume(id, until), 'fresh')
  equal(await guard.consume('d', until), 'full')
  for (const id of ['a', 'b', 'c']) equal(await guard.consume(id, until), 'seen')
  equal(guard.size, 3)
})

test('a full table makes room once what it holds is good for nothing', async () => {
  const { guard, now, pass } = subject(2)
  for (const id of ['a', 'b']) await guard.consume(id, epochMillis(now() + 1000))
  equal(await guard.consume('c', epochMillis(now() + 5000)), 'full')
  pass(2500)
  equal(await guard.consume('c', epochMillis(now() + 5000)), 'fresh')
  equal(guard.size, 1)
})
