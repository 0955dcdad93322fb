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

let active: CedarEngine
let strict: CedarEngine
before(async () => {
  active = await engine(sampleSource)
  strict = await engine(nobody)
})

test('a candidate that denies is noted beside the allow that stays', async () => {
  const verdict = await new ShadowEngine(active, strict).decide(reading)
  equal(verdict.effect, 'allow')
  deepEqual(verdict.shadow, { effect: 'deny', reason: 'none', policies: [], version: strict.version() })
})

test('a candidate that allows is noted beside the denial that stays', async () => {
  const verdict = await new ShadowEngine(strict, active).decide(reading)
  equal(verdict.effect, 'deny')
  deepEqual(verdict.shadow, {
    effect: 'allow',
    reason: null,
    policies: ['role:researcher/0'],
    version: active.version(),
  })
})

test('where both say the same, nothing is noted', async () => {
  const shadow = new ShadowEngine(active, strict)
  deepEqual(await shadow.decide(writing), await active.decide(writing))
  deepEqual(await new ShadowEngine(active, active).decide(reading), await active.decide(reading))
})

test('a candidate without a policy yet, or that fails, changes nothing', async () => {
  deepEqual(await new ShadowEngine(active, await engine(null)).decide(reading), await active.decide(reading))
  const broken = await engine(nobody)
  broken.decide = () => Promise.reject(new Error('broken'))
  const verdict = await new ShadowEngine(active, broken).decide(reading)
  equal(verdict.effect, 'allow')
  equal(verdict.shadow?.reason, 'error')
})

test('lists are those of the active policy', async () => {
  equal(await new ShadowEngine(active, strict).list(reading), 'allow')
  equal(await new ShadowEngine(strict, active).list(reading), 'deny')
})
