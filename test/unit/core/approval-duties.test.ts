import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { analyse, compilePolicy, readPolicy } from '@doorward/core'
import type { ApprovalsSource, DecisionRequest, PolicySource } from '@doorward/core'
import { CedarEngine } from '../../../packages/server/src/policy/cedar-engine.ts'
import { ShadowEngine } from '../../../packages/server/src/policy/shadow-engine.ts'
import { agent, caller, sampleSource, toolCall } from '../../contract/decision-requests.ts'

const approvals: ApprovalsSource = { groups: ['team-a', 'team-b'], rules: [] }

async function engineOf(cedar: string, over: Partial<PolicySource> = {}): Promise<CedarEngine> {
  const files = [{ name: 'own.cedar', text: cedar }]
  const compiled = compilePolicy({ ...sampleSource, approvals, files, ...over })
  if (!compiled.ok) throw new AggregateError(compiled.problems)
  const engine = new CedarEngine()
  await engine.activate(compiled.policy)
  return engine
}

const scope = '(principal, action == Action::"tools/call", resource == Tool::"github/close_issue")'
const permit = (id: string, by: string | null, when = '') =>
  `@id("${id}")\n${by === null ? '' : `@approval("${by}")\n`}permit ${scope}${when};\n`

const close = (args: unknown = {}, over: Parameters<typeof caller>[2] = {}) =>
  toolCall(caller('planner', [], over), 'github/close_issue', 'write', args)

async function dutiesOf(engine: CedarEngine, request: DecisionRequest) {
  const verdict = await engine.decide(request)
  assert.equal(verdict.effect, 'allow')
  return verdict.effect === 'allow' ? verdict.obligations : []
}

describe('@approval', () => {
  test('asks its group for what the policy permits', async () => {
    const engine = await engineOf(permit('close', 'team-a'))
    const expected = [{ kind: 'approval', by: 'team-a', rules: ['own.cedar#close'] }]
    assert.deepEqual(await dutiesOf(engine, close()), expected)
    assert.equal(await engine.list(close()), 'allow')
  })

  test('the strictest wins: a permit that asks for nobody, however narrow, takes nothing away', async () => {
    const both = await engineOf(permit('close', 'team-a') + permit('free', null))
    assert.deepEqual(await dutiesOf(both, close()), [{ kind: 'approval', by: 'team-a', rules: ['own.cedar#close'] }])
  })

  test('a permit that does not hold asks for nobody', async () => {
    const engine = await engineOf(permit('far', 'team-a', ' when { context.args has force }') + permit('free', null))
    assert.deepEqual(await dutiesOf(engine, close()), [])
    assert.equal((await dutiesOf(engine, close({ force: true }))).length, 1)
  })

  test('every group is asked once, with all that asks it, rules too', async () => {
    const rules = [{ permission: 'tools/call:github/close_*', by: 'team-a' }]
    const engine = await engineOf(permit('one', 'team-a') + permit('two', 'team-b'), {
      approvals: { ...approvals, rules },
    })
    assert.deepEqual(await dutiesOf(engine, close()), [
      { kind: 'approval', by: 'team-a', rules: ['own.cedar#one', 'approval:tools/call:github/close_*'] },
      { kind: 'approval', by: 'team-b', rules: ['own.cedar#two'] },
    ])
  })

  test('what any party needs an approval for needs it', async () => {
    const named = `(principal == Workload::"${agent('nobody').uri}",`
    const engine = await engineOf(permit('nobody', 'team-b').replace('(principal,', named) + permit('free', null))
    assert.deepEqual(await dutiesOf(engine, close()), [])
    const delegated = close({}, { subject: { kind: 'workload', id: agent('nobody') } })
    assert.deepEqual(await dutiesOf(engine, delegated), [
      { kind: 'approval', by: 'team-b', rules: ['own.cedar#nobody'] },
    ])
  })

  test('is a mistake where nobody would go by it', async () => {
    const wrong = [
      permit('unknown', 'team-c'),
      permit('empty', ''),
      permit('bare', null).replace('permit', '@approval\npermit'),
      permit('forbids', 'team-a').replace('permit', 'forbid'),
    ]
    for (const cedar of wrong)
      await assert.rejects(engineOf(cedar), /policy_approval|asks for an approval|approvers/, cedar)
  })
})

test('rules name approvers that there are, and configured servers', () => {
  const problemOf = (rule: { permission: string; by: string }) => {
    const compiled = compilePolicy({ ...sampleSource, approvals: { ...approvals, rules: [rule] } })
    return compiled.ok ? null : compiled.problems.map(({ code, where }) => [code, where])
  }
  assert.equal(problemOf({ permission: 'write:github/*', by: 'team-a' }), null)
  assert.deepEqual(problemOf({ permission: 'write', by: 'team-c' }), [['approver_unknown', 'approvals.rules[0].by']])
  for (const [permission, code] of [
    ['admin:gateway/v1/*', 'server_unknown'],
    ['write:nowhere/*', 'server_unknown'],
    ['destroy', 'permission_invalid'],
  ] as const)
    assert.deepEqual(problemOf({ permission, by: 'team-a' }), [[code, 'approvals.rules[0].permission']])
})

test('a candidate that asks for somebody else says so beside the decision', async () => {
  const shadow = new ShadowEngine(await engineOf(permit('close', null)))
  shadow.compareWith(await engineOf(permit('close', 'team-a')))
  const verdict = await shadow.decide(close())
  assert.deepEqual([verdict.effect, verdict.shadow?.effect, verdict.shadow?.approvals], ['allow', 'allow', ['team-a']])
  assert.equal(shadow.differences, 1)
  shadow.compareWith(await engineOf(permit('other', null)))
  assert.equal((await shadow.decide(close())).shadow, undefined)
})

test('a rule that asks for approvers changes something, though another permits the same', () => {
  const policyOf = (id: string, resource: object, annotations: object) =>
    readPolicy(`own.cedar#${id}`, {
      effect: 'permit',
      principal: { op: 'All' },
      action: { op: '==', entity: { type: 'Action', id: 'tools/call' } },
      resource,
      conditions: [],
      annotations,
    })
  const one = { op: '==', entity: { type: 'Tool', id: 'github/close_issue' } }
  const known = {
    servers: new Set(['github']),
    roles: new Set<string>(),
    tools: new Map<string, readonly string[]>(),
    trustDomain: sampleSource.trustDomain,
    guess: () => null,
    effectOf: () => 'write' as const,
  }
  const codesOf = (annotations: object) =>
    analyse([policyOf('wide', { op: 'All' }, {}), policyOf('narrow', one, annotations)], known)
      .findings.filter(({ policyId }) => policyId === 'own.cedar#narrow')
      .map(({ code }) => code)
  assert.deepEqual(codesOf({}), ['policy_shadowed'])
  assert.deepEqual(codesOf({ approval: 'team-a' }), [])
})
