import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { compilePolicy, isDoorwardError } from '@doorward/core'
import type { CompiledPolicy, DecisionRequest, PolicySource } from '@doorward/core'
import { CedarEngine } from '../../packages/server/src/policy/cedar-engine.ts'
import { requestOf, sourceOf } from './decision-arbitraries.ts'
import { referenceDecision } from './decision-reference.ts'
import { caller, sampleSource, toolCall } from './decision-requests.ts'

function compiled(source: PolicySource = sampleSource): CompiledPolicy {
  const result = compilePolicy(source)
  assert(result.ok)
  return result.policy
}

function withText(text: string): CompiledPolicy {
  const policy = compiled()
  return { ...policy, text: `${policy.text}\n${text}`, policies: [...policy.policies, { id: 'own:0', text }] }
}

const planner = caller('planner')
const reading = toolCall(planner, 'files/read_file', 'read')

async function effect(engine: CedarEngine, request: DecisionRequest): Promise<string> {
  const verdict = await engine.decide(request)
  return verdict.effect === 'allow' ? 'allow' : `deny ${verdict.reason}`
}

test('before the first policy everything is denied', async () => {
  const engine = new CedarEngine()
  assert.equal(await effect(engine, reading), 'deny none')
  assert.equal(await engine.list(reading), 'deny')
  assert.deepEqual(engine.version(), { digest: '', sequence: 0 })
})

test('an empty set of policies denies', async () => {
  const engine = new CedarEngine()
  await engine.activate({ ...compiled(), policies: [], text: '' })
  assert.equal(await effect(engine, reading), 'deny none')
})

test('a verdict names its policies, and a denial the permission that is missing', async () => {
  const engine = new CedarEngine()
  const version = await engine.activate(compiled())
  assert.deepEqual(await engine.decide(reading), {
    effect: 'allow',
    policies: ['role:researcher/0'],
    obligations: [],
    version,
  })
  const denied = await engine.decide(toolCall(planner, 'files/write_file'))
  assert(denied.effect === 'deny')
  assert.equal(denied.wouldAllow, 'tools/call:files/write_file')
  assert(denied.explanation.includes('spiffe://acme.example/agent/planner with the roles researcher'))
})

test('texts that harm the parser end the check, not the process, and the policy before stays', async () => {
  const engine = new CedarEngine()
  const version = await engine.activate(compiled())
  for (const depth of [200, 1000, 100_000]) {
    const text = `permit (principal, action, resource) when { ${'('.repeat(depth)}true${')'.repeat(depth)} };`
    await assert.rejects(
      engine.activate(withText(text)),
      (error) => isDoorwardError(error, 'policy_hostile'),
      String(depth),
    )
  }
  assert.deepEqual(engine.version(), version)
  assert.equal(await effect(engine, reading), 'allow')
})

test('a policy that is wrong, unknown to the schema or not one policy is refused, and the policy before stays', async () => {
  const engine = new CedarEngine()
  const version = await engine.activate(compiled())
  const wrong = [
    'permit (principal, action, resource',
    'permit (principal, action, resource) when { context.args.path == "x" };',
    'permit (principal in Group::"x", action, resource);',
    'permit (principal, action == Action::"tools/destroy", resource);',
    'permit (principal, action, resource); permit (principal, action, resource);',
    'permit (principal == ?principal, action, resource);',
    '',
  ]
  for (const text of wrong) {
    await assert.rejects(engine.activate(withText(text)), (error) => isDoorwardError(error, 'policy_invalid'), text)
  }
  const twice = compiled()
  await assert.rejects(engine.activate({ ...twice, policies: [...twice.policies, ...twice.policies] }), (error) =>
    isDoorwardError(error, 'policy_invalid'),
  )
  await assert.rejects(engine.activate(withText(`// ${'x'.repeat(9 * 1024 * 1024)}`)), (error) =>
    isDoorwardError(error, 'policy_too_large'),
  )
  assert.deepEqual(engine.version(), version)
  assert.equal(await effect(engine, reading), 'allow')
})

test('a check that takes too long is ended', async () => {
  const engine = new CedarEngine({ prepareTimeoutMilliseconds: 1 })
  await assert.rejects(engine.activate(compiled()), (error) => isDoorwardError(error, 'policy_timeout'))
})

test('forbid wins and an error in a policy that applies denies', async () => {
  const engine = new CedarEngine()
  await engine.activate(withText('forbid (principal, action, resource) when { resource.name == "read_file" };'))
  assert.equal(await effect(engine, reading), 'deny forbid')
  await engine.activate(
    withText('forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 && resource.name == "x" };'),
  )
  const verdict = await engine.decide(reading)
  assert(verdict.effect === 'deny' && verdict.reason === 'error')
  assert.deepEqual(verdict.policies, ['own:0'])
  assert.equal(verdict.wouldAllow, null)
})

test('each activation replaces the whole policy and counts one up', async () => {
  const engine = new CedarEngine()
  const first = await engine.activate(compiled())
  assert.equal(await effect(engine, reading), 'allow')
  const second = await engine.activate(compiled({ ...sampleSource, bindings: [] }))
  assert.equal(await effect(engine, reading), 'deny none')
  const third = await engine.activate(compiled())
  assert.equal(await effect(engine, reading), 'allow')
  assert.deepEqual([first.sequence, second.sequence, third.sequence], [1, 2, 3])
  assert.equal(first.digest, third.digest)
  assert.notEqual(first.digest, second.digest)
})

test('activations at the same time end with the last one', async () => {
  const engine = new CedarEngine()
  const versions = await Promise.allSettled([
    engine.activate(compiled()),
    engine.activate(withText('permit (')),
    engine.activate(compiled({ ...sampleSource, bindings: [] })),
  ])
  assert.deepEqual(
    versions.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal(engine.version().sequence, 2)
  assert.equal(await effect(engine, reading), 'deny none')
})

const tally = { allow: 0, deny: 0 }

test('Cedar decides as the reference does, and lists agree with calls', async () => {
  const engine = new CedarEngine()
  const property = fc.asyncProperty(
    sourceOf,
    fc.array(requestOf, { minLength: 50, maxLength: 50 }),
    async (source, requests) => {
      await engine.activate(compiled(source))
      for (const request of requests) {
        const expected = referenceDecision(source, request)
        tally[expected] += 1
        assert.equal((await engine.decide(request)).effect, expected, JSON.stringify(request))
        assert.equal(await engine.list(request), expected)
      }
    },
  )
  await fc.assert(property, { seed: 20251122, numRuns: 16, endOnFailure: true })
})

after(() => {
  assert(tally.allow > 100 && tally.deny > 100, `one-sided sample: ${JSON.stringify(tally)}`)
})
