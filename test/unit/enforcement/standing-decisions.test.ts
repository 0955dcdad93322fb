/** Answers under way are decided again when policy or roles change: all of them, without holding up anything else. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DecisionRequest, Verdict } from '@doorward/core'
import type { Denial } from '@doorward/enforcement'
import { denials, id, viewOf } from './call-fixture.ts'
import { allow, call, newPipeline, permitOf, version } from './pipeline-fixture.ts'
import type { PipelineStage } from './pipeline-fixture.ts'

const next = { digest: 'e', sequence: version.sequence + 1 }
const forbidden: Verdict = {
  effect: 'deny',
  reason: 'forbid',
  policies: ['own.cedar#no'],
  explanation: 'forbidden',
  wouldAllow: null,
  version: next,
}

async function openCall(made: PipelineStage) {
  const { authorized } = (await permitOf(made)).use()
  const [ended, withdrawn] = [[] as Denial[], [] as Denial[]]
  return {
    authorized,
    ended,
    withdrawn,
    withdraw: (denial: Denial) => void withdrawn.push(denial),
    forbid: (denial: Denial) => void ended.push(denial),
    codes: () => ended.map(({ code }) => code),
  }
}

async function tracked(made: PipelineStage) {
  const one = await openCall(made)
  made.pipeline.track(one)
  return one
}

test('the same request is decided, at its time of now, and what is forbidden ends with the decision', async () => {
  const made = newPipeline()
  const [first, gone] = [await tracked(made), await tracked(made)]
  made.pipeline.open.remove(gone)
  const asked: DecisionRequest[] = []
  made.answers.decide = async (request) => {
    asked.push(request)
    return forbidden
  }
  await made.pipeline.policyChanged(next)
  assert.deepEqual([first.codes(), gone.codes()], [['policy_forbidden'], []])
  assert.deepEqual([first.ended[0]?.policyVersion, first.ended[0]?.explanation], [next, 'forbidden'])
  assert.deepEqual(
    asked.map(({ action, resource, context: { args } }) => ({ action, resource, args })),
    [{ action: call.action, resource: call.resource, args: call.args }],
  )
})

test('with time all of it is decided again, by the policy that there is', async () => {
  const made = newPipeline()
  const one = await tracked(made)
  await made.pipeline.timePassed()
  assert.deepEqual(one.codes(), [])
  made.answers.decide = async () => ({ ...forbidden, version })
  await made.pipeline.timePassed()
  assert.deepEqual([one.codes(), one.ended[0]?.policyVersion], [['policy_forbidden'], version])
})

test('what is still allowed goes on, whatever else ends', async () => {
  const made = newPipeline()
  const calls = await Promise.all([1, 2, 3].map(() => tracked(made)))
  let turn = 0
  made.answers.decide = async () => (turn++ === 1 ? forbidden : allow)
  await made.pipeline.policyChanged(next)
  assert.deepEqual(
    calls.map((one) => one.codes()),
    [[], ['policy_forbidden'], []],
  )
})

test('where no decision can be made, the answer ends', async () => {
  const made = newPipeline()
  const one = await tracked(made)
  made.answers.decide = () => Promise.reject(new Error('the engine is gone'))
  await made.pipeline.policyChanged(next)
  assert.deepEqual(one.codes(), ['policy_unavailable'])
})

test('a call that was decided before the policy changed and begins after it is decided again', async () => {
  const made = newPipeline()
  const late = await openCall(made)
  await made.pipeline.policyChanged(next)
  made.answers.decide = async () => forbidden
  made.pipeline.track(late)
  assert.deepEqual(late.codes(), [])
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  assert.deepEqual(late.codes(), ['policy_forbidden'])
})

test('a call of the policy that decides is not decided twice', async () => {
  const made = newPipeline()
  await made.pipeline.policyChanged(version)
  let asked = 0
  made.answers.decide = async () => {
    asked++
    return allow
  }
  await tracked(made)
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  assert.equal(asked, 1)
})

const roles = (...given: readonly string[]) => ({ workloads: [{ id: id.uri, roles: [...given] }] })

test('a trust state with other roles of the caller has its answers decided by these, and any other state does not', async () => {
  const made = newPipeline()
  const one = await tracked(made)
  const asked: (readonly string[])[] = []
  made.answers.decide = async ({ principal }) => {
    asked.push(principal.roles)
    return principal.roles.length > 0 ? allow : forbidden
  }
  const steps = [roles('reader'), roles('reader', 'writer'), roles('reader', 'writer'), roles('writer'), roles()]
  for (const [i, step] of steps.entries()) {
    made.trust.view = viewOf(step, i + 2)
    await made.pipeline.review()
  }
  assert.deepEqual(asked, [['reader', 'writer'], ['writer'], []])
  assert.deepEqual(one.codes(), ['policy_forbidden'])
})

test('roles that were taken away while a body came are not asked with', async () => {
  const made = newPipeline()
  const asked: (readonly string[])[] = []
  made.answers.decide = async ({ principal }) => {
    asked.push(principal.roles)
    return allow
  }
  const body = made.answers.body
  made.answers.body = () => {
    made.trust.view = viewOf(roles(), 2)
    return body()
  }
  await openCall(made)
  assert.deepEqual(asked, [[]])
})

test('roles that were taken away between decision and answer count when it begins', async () => {
  const made = newPipeline()
  const one = await openCall(made)
  made.trust.view = viewOf(roles(), 2)
  made.answers.decide = async () => forbidden
  made.pipeline.track(one)
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  assert.deepEqual(one.codes(), ['policy_forbidden'])
})

test('a caller whose credentials are denied is withdrawn at once, and not decided about', async () => {
  const made = newPipeline()
  const one = await tracked(made)
  made.trust.view = viewOf({ ...denials({ tokens: ['token-id'] }), ...roles() }, 2)
  const done = made.pipeline.review()
  assert.deepEqual(
    one.withdrawn.map(({ code }) => code),
    ['token_denied'],
  )
  await done
})

test('ten thousand open answers are decided in small parts, and a change in the midst of it counts for all', async () => {
  const made = newPipeline()
  const model = await openCall(made)
  const ended: string[] = []
  const calls = Array.from({ length: 10_000 }, () => ({
    ...model,
    forbid: ({ code }: Denial) => void ended.push(code),
  }))
  for (const one of calls) made.pipeline.track(one)
  const seen = { answer: allow, asked: 0, thisTurn: 0, most: 0, done: false }
  made.answers.decide = async () => {
    seen.asked++
    seen.most = Math.max(seen.most, ++seen.thisTurn)
    return seen.answer
  }
  const turn = () => {
    seen.thisTurn = 0
    return nextTurn()
  }
  const first = made.pipeline.policyChanged(next)
  while (seen.asked < 5000) await turn()
  seen.answer = forbidden
  const all = made.pipeline.policyChanged({ ...next, sequence: next.sequence + 1 }).then(() => (seen.done = true))
  while (!seen.done) await turn()
  await Promise.all([first, all])
  assert.equal(ended.length, calls.length)
  assert.ok(seen.most <= 100, `${seen.most} decisions before anything else had its turn`)
})
