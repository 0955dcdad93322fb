/** What a policy that looks at the time allowed a minute ago may be over now. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import { parseTrustDomain, compilePolicy } from '@doorward/core'
import { decideWithTime } from '../../../packages/server/src/apps/policy-clock.ts'
import { CedarEngine } from '../../../packages/server/src/policy/cedar-engine.ts'

const minute = 60_000

/** On a clock that stands some milliseconds before a full minute whenever it is looked at; how often all was decided again. */
async function over(minutes: number, looksAtTime: boolean): Promise<number> {
  const stopping = new AbortController()
  let times = 0
  let looks = 0
  const policy = {
    looksAtTime: () => {
      if (++looks >= minutes) setImmediate(() => stopping.abort())
      return looksAtTime
    },
  }
  const now = () => epochMillis((looks + 1) * minute - 5)
  const pipeline = { timePassed: async () => void times++, dependencies: { trust: { now } } }
  await decideWithTime({ policy, pipeline }, stopping.signal)
  return times
}

test('at every full minute all that is under way is decided again', async () => {
  assert.equal(await over(3, true), 3)
})

test('nothing is where the policy does not look at the time', async () => {
  assert.equal(await over(3, false), 0)
})

test('it ends at once when it is told to', async () => {
  const stopping = new AbortController()
  const policy = { looksAtTime: () => true }
  const dependencies = { trust: { now: () => epochMillis(1) } }
  const pipeline = { timePassed: () => assert.fail('nothing is due'), dependencies }
  const running = decideWithTime({ policy, pipeline }, stopping.signal)
  stopping.abort()
  await running
})

async function engineWith(text: string): Promise<CedarEngine> {
  const compiled = compilePolicy({
    trustDomain: parseTrustDomain('test.example'),
    rbac: [],
    roles: [],
    bindings: [],
    servers: ['files'],
    files: [{ name: 'own.cedar', text }],
  })
  assert.ok(compiled.ok)
  const engine = new CedarEngine()
  await engine.activate(compiled.policy)
  return engine
}

test('a policy says whether it looks at the time', async () => {
  const scope = 'permit (principal, action, resource in Server::"files")'
  assert.equal((await engineWith(`${scope} when { context.time.hour < 18 };`)).looksAtTime(), true)
  assert.equal((await engineWith(`${scope} when { context.strength == "mtls-bound-token" };`)).looksAtTime(), false)
  assert.equal(new CedarEngine().looksAtTime(), false)
})
