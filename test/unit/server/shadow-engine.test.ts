/** A candidate beside the active policy: what it says is noted and never enforced. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { before, test } from 'node:test'
import { compilePolicy } from '@doorward/core'
import type { PolicySource } from '@doorward/core'
import { CedarEngine } from '../../../packages/server/src/policy/cedar-engine.ts'
import { ShadowEngine } from '../../../packages/server/src/policy/shadow-engine.ts'
import { caller, sampleSource, toolCall } from '../../contract/decision-requests.ts'

const planner = caller('planner')
const reading = toolCall(planner, 'files/read_file', 'read')
const writing = toolCall(planner, 'files/write_file')
const nobody: PolicySource = { ...sampleSource, bindings: [] }

async function engine(source: PolicySource | null): Promise<CedarEngine> {
  const made = new CedarEngine()
  if (source === null) return made
  const compiled = compilePolicy(source)
  ok(compiled.ok)
  await made.activate(compiled.policy)
  return made
}

function beside(policy: CedarEngine, candidate: CedarEngine | null): ShadowEngine {
  const shadow = new ShadowEngine(policy)
  shadow.compareWith(candidate)
  return shadow
}

let active: CedarEngine
let strict: CedarEngine
before(async () => {
  active = await engine(sampleSource)
  strict = await engine(nobody)
})

test('a candidate that denies is noted beside the allow that stays', async () => {
  const verdict = await beside(active, strict).decide(reading)
  equal(verdict.effect, 'allow')
  deepEqual(verdict.shadow, { effect: 'deny', reason: 'none', policies: [], approvals: [], version: strict.version() })
})

test('a candidate that allows is noted beside the denial that stays', async () => {
  const verdict = await beside(strict, active).decide(reading)
  equal(verdict.effect, 'deny')
  deepEqual(verdict.shadow, {
    effect: 'allow',
    reason: null,
    policies: ['role:researcher/0'],
    approvals: [],
    version: active.version(),
  })
})

test('where both say the same, nothing is noted', async () => {
  const shadow = beside(active, strict)
  deepEqual(await shadow.decide(writing), await active.decide(writing))
  deepEqual(await beside(active, active).decide(reading), await active.decide(reading))
})

test('a candidate without a policy yet, or that fails, changes nothing', async () => {
  deepEqual(await beside(active, await engine(null)).decide(reading), await active.decide(reading))
  const broken = await engine(nobody)
  broken.decide = () => Promise.reject(new Error('broken'))
  const verdict = await beside(active, broken).decide(reading)
  equal(verdict.effect, 'allow')
  equal(verdict.shadow?.reason, 'error')
})

test('differences are counted, anew for each candidate', async () => {
  const shadow = beside(active, strict)
  await shadow.decide(reading)
  await shadow.decide(writing)
  equal(shadow.differences, 1)
  shadow.compareWith(null)
  deepEqual(await shadow.decide(reading), await active.decide(reading))
  equal(shadow.differences, 0)
})

test('lists are those of the active policy', async () => {
  equal(await beside(active, strict).list(reading), 'allow')
  equal(await beside(strict, active).list(reading), 'deny')
})
