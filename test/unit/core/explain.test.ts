/** What is said about a decision is what is decided. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { PolicyCoverage, prospectOf } from '@doorward/core'
import type { DecisionRequest, Explanation } from '@doorward/core'
import { expressionText } from '../../../packages/core/src/policy/explain-text.ts'
import { caller, toolCall } from '../../contract/decision-requests.ts'
import { requestOf, sourceOf } from '../../contract/decision-arbitraries.ts'
import { compiledOf, explainerOf, policyOf, policyText, toolRequest } from '../../fixtures/policy-tools.ts'

const planner = caller('planner', ['researcher'])

function agrees({ verdict, parties, unknown }: Explanation): void {
  if (unknown !== null) return assert.equal(verdict.effect, 'deny')
  const denied = parties.find(({ decision }) => decision === 'deny')
  assert.equal(verdict.effect, denied === undefined ? 'allow' : 'deny')
  if (verdict.effect === 'deny') {
    assert.equal(verdict.reason, denied?.reason)
    const wanted = verdict.reason === 'error' ? 'fails' : 'holds'
    const ids = denied?.considered.filter(
      ({ effect, outcome }) => outcome === wanted && (wanted === 'fails' || effect === 'forbid'),
    )
    assert.deepEqual(
      verdict.policies,
      ids?.map(({ id }) => id),
    )
    return
  }
  const permits = parties.flatMap(({ considered }) => considered.filter(({ outcome }) => outcome === 'holds'))
  assert.deepEqual(new Set(verdict.policies), new Set(permits.map(({ id }) => id)))
}

describe('an explanation', () => {
  test('agrees with the decision, for policies of every shape', () => {
    fc.assert(
      fc.property(
        fc.array(policyText, { maxLength: 5 }),
        fc.array(toolRequest, { minLength: 4, maxLength: 4 }),
        (texts, requests) => {
          const explainer = explainerOf(texts, { roles: [], bindings: [] })
          for (const request of requests) agrees(explainer.explain(request))
        },
      ),
      { seed: 20_261_122, numRuns: 150 },
    )
  })

  test('agrees with the decision, for roles and every kind of request', () => {
    fc.assert(
      fc.property(sourceOf, fc.array(requestOf, { minLength: 4, maxLength: 4 }), (source, requests) => {
        const explainer = explainerOf([], source)
        for (const request of requests) agrees(explainer.explain(request))
      }),
      { seed: 20_261_122, numRuns: 60 },
    )
  })

  test('names the clause that did not hold, with what it saw', () => {
    const explainer = explainerOf([
      'permit (principal, action == Action::"tools/call", resource in Server::"files") when { context.effect == "write" && context.args.path like "docs/*" };',
    ])
    const { verdict, parties } = explainer.explain(toolCall(planner, 'files/put', 'write', { path: 'etc/passwd' }))
    assert.equal(verdict.effect, 'deny')
    const found = parties[0]?.nearest.find(({ id }) => id === '0')
    assert.deepEqual(found?.parts, [
      {
        part: 'when',
        text: 'context.args.path like "docs/*"',
        saw: [{ text: 'context.args.path', value: '"etc/passwd"' }],
        error: null,
      },
    ])
    assert.equal(parties[0]?.nearest[0]?.id, '0')
  })

  test('names the clause that failed, and why', () => {
    const explainer = explainerOf([
      'permit (principal, action == Action::"tools/call", resource in Server::"files") when { context.args.path == "a" };',
    ])
    const { verdict, parties } = explainer.explain(toolCall(planner, 'files/put', 'write', { path: null }))
    assert.equal(verdict.effect === 'deny' && verdict.reason, 'error')
    const failed = parties[0]?.considered.find(({ outcome }) => outcome === 'fails')
    assert.equal(failed?.id, '0')
    assert.match(String(failed?.parts[0]?.error), /null, which no policy can judge/)
  })

  test('names what made a forbid hold', () => {
    const explainer = explainerOf([
      'forbid (principal, action, resource in Server::"files") when { context.effect == "read" } unless { context.address.isInRange(ip("10.0.0.0/8")) };',
    ])
    const { verdict, parties } = explainer.explain(toolCall(planner, 'files/get', 'read'))
    assert.deepEqual(verdict.effect === 'deny' && [verdict.reason, verdict.policies], ['forbid', ['0']])
    const forbid = parties[0]?.considered.find(({ id }) => id === '0')
    assert.deepEqual(forbid?.parts[1], {
      part: 'unless',
      text: 'context.address.isInRange(ip("10.0.0.0/8"))',
      saw: [{ text: 'context.address', value: 'ip("127.0.0.1")' }],
      error: null,
    })
  })

  test('names the role that would allow it, to the party that lacks it', () => {
    const mary = { kind: 'user', issuer: 'https://id.example', subject: 'mary', groups: [] } as const
    const request = toolCall({ ...planner, subject: mary }, 'files/get', 'read')
    const { parties } = explainerOf([]).explain(request)
    assert.deepEqual(
      parties.map(({ id, decision }) => [id, decision]),
      [
        ['spiffe://acme.example/agent/planner', 'allow'],
        ['https://id.example#mary', 'deny'],
      ],
    )
    assert.deepEqual(parties[1]?.rolesToBind, ['researcher', 'user', 'readonly', 'admin'])
  })

  test('tells what is not known in a request', () => {
    const { unknown, verdict } = explainerOf([]).explain(toolCall(planner, 'ghost/x'))
    assert.match(String(unknown), /unknown server/)
    assert.equal(verdict.effect, 'deny')
  })
})

describe('the text of an expression', () => {
  const bodies = [
    'true && (false && true) || !(1 < 2 || 3 - (4 - 5) * -2 == 7)',
    'if principal has id then context.effect == "a\\"b" else resource.name like "a*b\\**"',
    'principal is Workload in Role::"x" && principal in [Role::"y", Role::"z"]',
    '[1, -9007199254740991, "x"].containsAll([2]) && {a: 1, "b c": {d: true}} has a',
    'context.args["in"] == "x" && context has args.path && principal.hasTag("t") && principal.getTag("t") == 1',
    'ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) && decimal("1.5").lessThan(decimal("2.0")) && !([].isEmpty())',
    'datetime("2026-01-01").offset(duration("-1d")) < context.time.now && duration("1h").toMinutes() == 60',
    '-(-(5)) + 1 == 6 && (1 + 2) * 3 == 9 && 1 + (2 + 3) == 6 && !!true',
    '(if true then 1 else 2) == 1 && (true || false) == true && [if true then 1 else 2].contains(1)',
    '"\\u{1f600}\\n" == "x" && (context.args has path) == true',
  ]
  for (const body of bodies) {
    test(`means the same: ${body}`, () => {
      const read = (text: string) =>
        policyOf('p', `permit (principal, action, resource) when { ${text} };`).conditions[0]?.body
      const expression = read(body)
      assert.ok(expression !== undefined)
      assert.deepEqual(read(expressionText(expression)), expression)
    })
  }
})

describe('a prospect', () => {
  const certain = { name: false, time: false, address: false, presenter: false }

  test('agrees with every decision that it foresees, whatever the arguments, time, address and name', () => {
    fc.assert(
      fc.property(
        fc.array(policyText, { maxLength: 5 }),
        fc.array(toolRequest, { minLength: 6, maxLength: 6 }),
        fc.record({ name: fc.boolean(), time: fc.boolean(), address: fc.boolean(), presenter: fc.constant(false) }),
        (texts, requests, unknowns) => {
          const explainer = explainerOf(texts, { roles: [], bindings: [] })
          const { servers } = compiledOf()
          for (const request of requests) {
            const { verdict } = prospectOf(explainer, servers, request, unknowns)
            for (const other of requests) {
              const like = mixed(request, other, unknowns)
              const { effect } = explainer.judge.decide(like)
              if (verdict !== 'depends') assert.equal(effect, verdict)
            }
          }
        },
      ),
      { seed: 20_261_122, numRuns: 100 },
    )
  })

  test('of somebody for whom others call denies only what each of them is denied', () => {
    fc.assert(
      fc.property(
        fc.array(policyText, { maxLength: 5 }),
        fc.array(toolRequest, { minLength: 6, maxLength: 6 }),
        (texts, requests) => {
          const explainer = explainerOf(texts, { roles: [], bindings: [] })
          for (const request of requests) {
            const { verdict } = prospectOf(explainer, compiledOf().servers, request, { ...certain, presenter: true })
            for (const { principal } of requests) {
              const call = { ...request, principal: { ...principal, subject: request.principal.subject } }
              const of = explainer.explain(call).parties.at(-1)
              // Who calls for itself has the roles of its registration too.
              if (call.principal.subject.kind === 'user' && verdict !== 'depends') {
                const args = explainer.judge.decide(call).effect
                assert.equal(of?.decision, verdict)
                if (verdict === 'deny') assert.equal(args, 'deny')
              }
            }
          }
        },
      ),
      { seed: 20_261_122, numRuns: 100 },
    )
  })

  test('says what lists say, where arguments alone are not known', () => {
    fc.assert(
      fc.property(fc.array(policyText, { maxLength: 5 }), toolRequest, (texts, request) => {
        const explainer = explainerOf(texts, { roles: [], bindings: [] })
        const { verdict } = prospectOf(explainer, compiledOf().servers, request, certain)
        assert.equal(verdict, explainer.judge.list(request))
      }),
      { seed: 20_261_122, numRuns: 150 },
    )
  })

  test('names on what it depends', () => {
    const explainer = explainerOf([
      'permit (principal, action == Action::"tools/call", resource in Server::"orders") when { context.args.path == "a" && context.time.hour < 12 && resource.name like "x*" };',
    ])
    const request = toolCall(caller('b'), 'orders/x')
    const { verdict, dependsOn } = prospectOf(explainer, compiledOf().servers, request, {
      name: true,
      time: true,
      address: true,
      presenter: false,
    })
    assert.deepEqual([verdict, dependsOn], ['depends', ['time', 'args.path', 'name']])
  })
})

/** The one with what is not known of the other. */
function mixed(
  one: DecisionRequest,
  other: DecisionRequest,
  unknowns: { name: boolean; time: boolean; address: boolean },
) {
  return {
    ...one,
    resource: unknowns.name ? { ...one.resource, name: other.resource.name } : one.resource,
    context: {
      args: other.context.args,
      timeSeconds: (unknowns.time ? other : one).context.timeSeconds,
      remoteAddress: (unknowns.address ? other : one).context.remoteAddress,
    },
  }
}

test('coverage tells which rules decided, which only applied, and which never did', () => {
  const explainer = explainerOf(
    [
      'permit (principal, action, resource in Server::"files");',
      'forbid (principal, action, resource in Server::"files") when { resource.name == "secret" };',
      'permit (principal, action, resource in Server::"github");',
    ],
    { rbac: [], roles: [], bindings: [] },
  )
  const coverage = new PolicyCoverage()
  const ids = ['builtin:x', '0', '1', '2']
  assert.equal(new PolicyCoverage().report([]).percent, 100)
  coverage.note(explainer.explain(toolCall(planner, 'files/secret')))
  assert.deepEqual(coverage.report(ids), {
    policies: [
      { id: '0', applied: 1, determined: 0 },
      { id: '1', applied: 1, determined: 1 },
      { id: '2', applied: 0, determined: 0 },
    ],
    determining: 1,
    percent: 33.3,
  })
  coverage.note(explainer.explain(toolCall(planner, 'files/a')))
  assert.equal(coverage.report(ids).percent, 66.6)
})
