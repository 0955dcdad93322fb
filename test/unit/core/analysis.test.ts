/** What is said about policies without a call holds for every call. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { analyse, nearestName, parseTrustDomain, PolicyJudge } from '@doorward/core'
import type { CompiledPolicy, DecisionRequest, Finding, KnownNames, Policy } from '@doorward/core'
import { comparable, covers } from '../../../packages/core/src/policy/analysis-cover.ts'
import { sourceOf, requestOf } from '../../contract/decision-arbitraries.ts'
import { compiledOf, policyOf, policyText, toolRequest } from '../../fixtures/policy-tools.ts'

const known: KnownNames = {
  servers: new Set(['files', 'github', 'orders', 'authority', 'gateway']),
  tools: new Map([['github', ['get_issue', 'get_file', 'delete_repo']]]),
  effectOf: (_server, tool) => (tool.startsWith('get_') ? 'read' : tool.startsWith('delete_') ? 'admin' : 'write'),
  trustDomain: parseTrustDomain('acme.example'),
  roles: new Set(['admin', 'researcher', 'readonly']),
}

function findings(...texts: readonly string[]): readonly Finding[] {
  return analyse(
    texts.map((text, i) => policyOf(String(i), text)),
    known,
  ).findings
}

function codes(...texts: readonly string[]): readonly string[] {
  return findings(...texts)
    .filter(({ level }) => level !== 'note')
    .map(({ policyId, code }) => `${policyId} ${code}`)
}

const version = { digest: 'd', sequence: 1 }

/** Takes away what is said to change nothing, and decides as before; how many that were. */
function withoutSuperfluous(
  policies: readonly Policy[],
  names: KnownNames,
  { compiled, requests }: { readonly compiled: CompiledPolicy; readonly requests: readonly DecisionRequest[] },
): number {
  const superfluous = new Set(
    analyse(policies, names)
      .findings.filter(({ code }) => /duplicate|shadowed|overridden/.test(code))
      .map(({ policyId }) => policyId),
  )
  const rest = policies.filter(({ id }) => !superfluous.has(id))
  const [before, after] = [policies, rest].map((some) => new PolicyJudge(compiled, some, version))
  for (const request of requests) assert.equal(after?.decide(request).effect, before?.decide(request).effect)
  return superfluous.size
}

describe('rules that change nothing', () => {
  test('taken away, all of them, leave every decision as it was', () => {
    let taken = 0
    fc.assert(
      fc.property(
        fc.array(policyText, { minLength: 2, maxLength: 8 }),
        fc.array(toolRequest, { minLength: 8, maxLength: 8 }),
        (texts, requests) => {
          const compiled = compiledOf({ rbac: [], roles: [], bindings: [] })
          const policies = texts.map((text, i) => policyOf(String(i), text))
          taken += withoutSuperfluous(policies, known, { compiled, requests })
        },
      ),
      { seed: 20_261_122, numRuns: 250 },
    )
    assert.ok(taken > 100, `${taken} were found`)
  })

  test('of roles likewise', () => {
    let taken = 0
    fc.assert(
      fc.property(sourceOf, fc.array(requestOf, { minLength: 8, maxLength: 8 }), (source, requests) => {
        const compiled = compiledOf(source)
        const policies = compiled.policies.map(({ id, text }) => policyOf(id, text))
        const names = { ...known, servers: compiled.servers, tools: new Map() }
        taken += withoutSuperfluous(policies, names, { compiled, requests })
      }),
      { seed: 20_261_122, numRuns: 60 },
    )
    assert.ok(taken > 10, `${taken} were found`)
  })

  const wide = 'permit (principal, action, resource in Server::"github");'
  const pairs: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    [
      'a narrower scope',
      [wide, 'permit (principal, action == Action::"tools/call", resource == Tool::"github/get_issue");'],
      ['1 policy_shadowed'],
    ],
    [
      'one that stands later',
      ['permit (principal in Role::"admin", action, resource in Server::"github");', wide],
      ['0 policy_shadowed'],
    ],
    ['the same twice', [wide, wide], ['1 policy_duplicate_rule']],
    ['a forbid over it', [wide, 'forbid (principal, action, resource);'], ['0 policy_overridden']],
    [
      'a condition more',
      [wide, 'permit (principal, action, resource in Server::"github") when { context.effect == "read" };'],
      ['1 policy_shadowed'],
    ],
    ['another server', [wide, 'permit (principal, action, resource in Server::"files");'], []],
    [
      'a condition less',
      [
        'permit (principal, action, resource in Server::"github") when { context.effect == "read" };',
        'permit (principal, action, resource in Server::"github") when { context.strength == "x" };',
      ],
      [],
    ],
    [
      'a name within a pattern',
      [
        'permit (principal, action, resource in Server::"github") when { resource.name like "get_*" };',
        'permit (principal, action, resource in Server::"github") when { resource.name == "get_issue" };',
      ],
      ['1 policy_shadowed'],
    ],
    [
      'a name beside a pattern',
      [
        'permit (principal, action, resource in Server::"github") when { resource.name like "get_f*" };',
        'permit (principal, action, resource in Server::"github") when { resource.name == "get_issue" };',
      ],
      [],
    ],
    [
      'one that may fail and so denies',
      [
        wide,
        'permit (principal, action == Action::"tools/call", resource in Server::"github") when { context.args.path == "a" };',
      ],
      [],
    ],
    [
      'the same order of what may fail',
      [
        'permit (principal, action == Action::"tools/call", resource in Server::"github") when { context.args.path == "a" };',
        'permit (principal, action == Action::"tools/call", resource in Server::"github") when { context.args.path == "a" && context.effect == "read" };',
      ],
      ['1 policy_shadowed'],
    ],
    [
      'another order of what may fail',
      [
        'permit (principal, action == Action::"tools/call", resource in Server::"github") when { context.effect == "read" && context.args.path == "a" };',
        'permit (principal, action == Action::"tools/call", resource in Server::"github") when { context.args.path == "a" && context.effect == "read" };',
      ],
      [],
    ],
    [
      'unless of both',
      [
        'permit (principal, action, resource in Server::"github") unless { context.effect == "admin" };',
        'permit (principal, action, resource in Server::"github") unless { context.effect == "admin" || context.effect == "write" };',
      ],
      ['1 policy_shadowed'],
    ],
    [
      'a permit over a forbid',
      [
        wide,
        'forbid (principal, action == Action::"tools/call", resource in Server::"github") when { context.effect == "admin" };',
      ],
      [],
    ],
  ]
  for (const [name, texts, wanted] of pairs) test(name, () => assert.deepEqual(codes(...texts), wanted))

  test('patterns lie within patterns only where every text does', () => {
    const rule = (pattern: string) =>
      comparable(policyOf('p', `permit (principal, action, resource) when { resource.name like "${pattern}" };`))
    const within = (narrow: string, wide_: string) => covers(rule(wide_), rule(narrow))
    assert.deepEqual(
      [
        within('a*b', 'a*'),
        within('a*', 'a*b'),
        within('ab*cd', 'a*d'),
        within('*', '*a*'),
        within('\\\\*x', '*x'),
        within('*x', '\\\\*x'),
      ],
      [true, false, true, false, true, false],
    )
  })

  test('ten thousand rules are compared in bounded time', () => {
    const one = policyOf('x', 'permit (principal, action, resource in Server::"github") when { resource.name == "a" };')
    const many = Array.from({ length: 10_000 }, (_, i) => ({
      ...one,
      id: String(i),
      conditions: [...one.conditions, { kind: 'when' as const, body: { kind: 'literal' as const, value: i } }],
    }))
    assert.equal(analyse(many, { ...known, tools: new Map() }).complete, false)
  })
})

describe('names that mean nothing', () => {
  const rule = (resource: string, principal = 'principal') => `permit (${principal}, action, resource ${resource});`
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [rule('in Server::"githbu"'), '0 policy_server_unknown', /did you mean Server::"github"/],
    [rule('== Tool::"githbu/get_issue"'), '0 policy_server_unknown', /did you mean Tool::"github\/get_issue"/],
    [rule('== Tool::"github/get_isue"'), '0 policy_item_unknown', /did you mean Tool::"github\/get_issue"/],
    [rule('== Tool::"github/zzzzzzzzzzzz"'), '0 policy_item_unknown', /there are: get_issue/],
    [rule('== Tool::"get_issue"'), '0 policy_item_unknown', /^null$/],
    [rule('== Route::"authority/v1/statsu"'), '0 policy_item_unknown', /v1\/status/],
    [
      rule('in Server::"github"', 'principal in Role::"resercher"'),
      '0 policy_role_unknown',
      /did you mean Role::"researcher"/,
    ],
    [
      rule('in Server::"github"', 'principal == Workload::"spiffe://evil.example/a"'),
      '0 policy_trust_domain',
      /acme\.example/,
    ],
    [rule('in Server::"github"', 'principal == Workload::"planner"'), '0 policy_trust_domain', /spiffe:\/\/acme/],
    [
      'permit (principal, action, resource) when { resource in [Server::"githb"] };',
      '0 policy_server_unknown',
      /github/,
    ],
  ]
  for (const [text, code, help] of cases) {
    test(text, () => {
      assert.ok(codes(text).includes(code), codes(text).join())
      assert.match(String(findings(text).find((one) => `0 ${one.code}` === code)?.help), help)
    })
  }
  test('tools of a server that nobody has listed, users and the role of gateways are taken as they are', () => {
    const texts = [
      rule('== Tool::"files/anything"'),
      rule('== Tool::"files/x"', 'principal == User::"https://id.example#mary"'),
      rule('== Tool::"files/y"', 'principal in Role::"gateway"'),
    ]
    assert.deepEqual(codes(...texts.slice(0, 1)), [])
    assert.deepEqual(codes(...texts.slice(1)), [])
  })
  test('a name far from every known one is not guessed', () => {
    assert.equal(nearestName('zebra', ['github', 'files']), null)
    assert.equal(nearestName('fiels', ['github', 'files']), 'files')
    assert.equal(nearestName('A', ['b', 'a']), 'a')
  })
})

describe('rules that never apply', () => {
  test('because no known tool fits', () => {
    const text = (name: string) =>
      `permit (principal, action == Action::"tools/call", resource in Server::"github") when { resource.name == "${name}" };`
    assert.deepEqual(codes(text('get_isue')), ['0 policy_never_applies'])
    assert.deepEqual(codes(text('get_issue')), [])
  })
  test('because the effect of each tool is another', () => {
    const text =
      'permit (principal, action == Action::"tools/call", resource == Tool::"github/get_issue") when { context.effect == "admin" };'
    assert.deepEqual(codes(text), ['0 policy_never_applies'])
  })
})

describe('rules that grant more than they show', () => {
  const notes = (text: string) => findings(text).filter(({ level }) => level === 'note')
  test('every server, also later ones', () => {
    const found = notes('permit (principal in Role::"admin", action in Action::"read", resource);')
    assert.deepEqual(
      found.map(({ code, related }) => [code, related]),
      [
        ['policy_every_server', ['files', 'github', 'orders']],
        ['policy_unknown_tools', ['files', 'orders']],
        ['policy_admin_tools', ['github/delete_repo']],
      ],
    )
    const one = notes(
      'permit (principal in Role::"admin", action in Action::"read", resource) when { context.effect == "read" };',
    )
    assert.deepEqual(
      one.map(({ code }) => code),
      ['policy_every_server', 'policy_unknown_tools'],
    )
  })
  test('a pattern over tools that administer, with what it covers today', () => {
    const [found, ...more] = notes(
      'permit (principal, action, resource in Server::"github") when { resource.name like "*" };',
    )
    assert.deepEqual(
      [found?.code, found?.related, found?.total, more.length],
      ['policy_admin_tools', ['github/delete_repo'], 1, 0],
    )
  })
  test('one that names its tools, and forbids, are not noted', () => {
    assert.deepEqual(notes('permit (principal, action, resource == Tool::"files/read");'), [])
    assert.deepEqual(
      notes('permit (principal, action, resource) when { resource in Server::"files" && resource.name == "read" };'),
      [],
    )
    assert.deepEqual(notes('forbid (principal, action, resource);'), [])
  })
})
