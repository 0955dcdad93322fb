/** Calls under policies written as text: what they see of a call, and that acting for others never yields more. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePolicy, parseSpiffeId } from '@doorward/core'
import type { DecisionRequest, PolicySource, Principal, Verdict } from '@doorward/core'
import { PolicyJudge } from '../../../packages/core/src/policy/policy-judge.ts'
import { agent, ask, caller, toolCall, trustDomain } from '../../contract/decision-requests.ts'
import { parsed } from '../../fuzz/cedar-official.ts'

const version = { digest: 'd', sequence: 7 }

interface Setting extends Partial<PolicySource> {
  readonly texts: readonly string[]
}

function judge({ texts, ...over }: Setting): PolicyJudge {
  const compiled = compilePolicy({ trustDomain, rbac: [], roles: [], bindings: [], servers: ['files'], ...over })
  assert(compiled.ok)
  return new PolicyJudge(
    compiled.policy,
    texts.map((text, i) => parsed(text, `p${i}`)),
    version,
  )
}

const permitWhen = (condition: string) => `permit(principal, action, resource) when { ${condition} };`
const all = 'permit(principal, action, resource);'
const call = (args: unknown = {}, principal = caller('a')) => toolCall(principal, 'files/read', 'write', args)

/** allow, or why not. */
function said(verdict: Verdict): string {
  return verdict.effect === 'allow' ? 'allow' : verdict.reason
}

function decided(condition: string, request: DecisionRequest = call(), over: Partial<PolicySource> = {}): string {
  return said(judge({ texts: [permitWhen(condition)], ...over }).decide(request))
}

function assertAllowed(conditions: readonly string[], request: DecisionRequest): void {
  assert.deepEqual(
    conditions.map((condition) => `${condition}: ${decided(condition, request)}`),
    conditions.map((condition) => `${condition}: allow`),
  )
}

const user = { kind: 'user', issuer: 'https://idp', subject: 'ann', groups: ['g', 'h', 'g'] } as const

test('a policy sees the caller, the action, the resource and the context of a call', () => {
  assertAllowed(
    [
      'principal == Workload::"spiffe://acme.example/agent/a"',
      'principal.id == "spiffe://acme.example/agent/a" && principal.trustDomain == "acme.example"',
      'principal.path == "agent/a"',
      'principal in Role::"given" && !(principal in Role::"other")',
      'action == Action::"tools/call" && action in Action::"write" && action in Action::"read"',
      'resource == Tool::"files/read" && resource.name == "read" && resource in Server::"files"',
      'Server::"files".name == ""',
      '!(Server::"other" has name)',
      'context.effect == "write" && context.strength == "mtls-bound-token"',
      'context.address.isLoopback()',
      'context.time.now == datetime("2027-01-15T08:00:00Z")',
      'context.time.weekday == 5 && context.time.hour == 8 && context.time.minute == 0',
      'context.delegation.presenter == principal && context.delegation.actors == [principal]',
      'context.delegation.depth == 0 && !(context.delegation has user) && !(context.delegation has workload)',
      'context.args == {}',
    ],
    call({}, caller('a', ['given'])),
  )
})

test('servers, and what has no arguments, are seen as such', () => {
  const session = ask(
    caller('a'),
    { name: 'tools/list', group: 'session' },
    { server: 'files', kind: 'server', name: '' },
  )
  assertAllowed(['resource == Server::"files" && resource.name == ""', '!(context has args)'], session)
  const prompt = { server: 'files', kind: 'prompt', name: 'p' } as const
  const got = ask(caller('a'), { name: 'prompts/get', group: 'read' }, prompt, { a: 1 })
  assertAllowed(['resource == Prompt::"files/p" && context.args.a == 1'], got)
  const route = ask(caller('a'), { name: 'GET', group: 'read' }, { server: 'files', kind: 'route', name: '/v1/x' })
  assertAllowed(['resource == Route::"files/v1/x" && resource.name == "v1/x"'], route)
})

test('addresses: IPv4 inside IPv6 is IPv4; one that cannot be read fails in policies that read it, and in no other', () => {
  const from = (remoteAddress: string): DecisionRequest => ({
    ...call(),
    context: { ...call().context, remoteAddress },
  })
  assert.equal(decided('context.address == ip("10.1.2.3")', from('::ffff:10.1.2.3')), 'allow')
  assert.equal(decided('context.address.isInRange(ip("10.0.0.0/8"))', from('10.1.2.3')), 'allow')
  assert.equal(decided('context.address.isIpv6()', from('::ffff:a01:203')), 'allow')
  assert.equal(decided('context.address == ip("fe80::1")', from('fe80::1%eth0')), 'allow')
  for (const bad of ['', '%eth0', 'localhost', '::ffff:10.1.2', '10.1.2.3.4', '::1::']) {
    assert.equal(decided('context.address == ip("10.1.2.3")', from(bad)), 'error', bad)
    assert.equal(decided('context.address != ip("10.1.2.3")', from(bad)), 'error', bad)
    assert.equal(decided('context has address', from(bad)), 'allow', bad)
    assert.equal(decided('true', from(bad)), 'allow', bad)
  }
})

test('the hour is that of the zone, on both sides of a change to summer time and back', () => {
  const hours = (timeZone: string, moments: readonly string[]) => {
    const parts = (name: string, most: number) =>
      Array.from({ length: most + 1 }, (_, i) => permitWhen(`context.time.${name} == ${i}`))
    const [byHour, byDay] = [
      judge({ texts: parts('hour', 23), timeZone }),
      judge({ texts: parts('weekday', 7), timeZone }),
    ]
    return moments.map((moment) => {
      const request = { ...call(), context: { ...call().context, timeSeconds: Date.parse(moment) / 1000 } }
      const found = [byDay, byHour].map((one) => one.decide(request).policies.join(',').replaceAll('p', ''))
      return found.join(' ')
    })
  }
  // 2026-03-29 and 2026-10-25 are Sundays.
  const spring = ['2026-03-28T23:59:59Z', '2026-03-29T00:59:59Z', '2026-03-29T01:00:00Z']
  assert.deepEqual(hours('Europe/Berlin', spring), ['7 0', '7 1', '7 3'])
  const autumn = ['2026-10-25T00:59:59Z', '2026-10-25T01:00:00Z', '2026-10-25T23:00:00Z']
  assert.deepEqual(hours('Europe/Berlin', autumn), ['7 2', '7 2', '1 0'])
  assert.deepEqual(hours('America/New_York', ['2026-11-01T04:00:00Z']), ['7 0'])
  assert.deepEqual(hours('Asia/Kathmandu', ['2026-01-05T18:15:00Z']), ['2 0'])
  assert.deepEqual(hours('UTC', ['2026-01-05T00:00:00Z']), ['1 0'])
})

test('the same judge sees another second as another time', () => {
  const one = judge({ texts: [permitWhen('context.time.minute == 1')] })
  const at = (timeSeconds: number) => said(one.decide({ ...call(), context: { ...call().context, timeSeconds } }))
  assert.deepEqual([60, 60, 119, 120, 61].map(at), ['allow', 'allow', 'allow', 'none', 'allow'])
})

test('everyone in a chain is seen, and everyone has to be allowed', () => {
  const [p, b] = [agent('a'), agent('b')]
  const principal = caller('a', ['given'], { subject: user, act: [b] })
  assertAllowed(
    [
      'context.delegation.depth == 2',
      'context.delegation.user == User::"https://idp#ann" && !(context.delegation has workload)',
      `context.delegation.presenter == Workload::"${p.uri}"`,
      `context.delegation.actors == [Workload::"${b.uri}", Workload::"${p.uri}"]`,
      'User::"https://idp#ann".groups == ["g", "h"] && User::"https://idp#ann".subject == "ann"',
      'User::"https://idp#ann".issuer == "https://idp"',
      `Workload::"${b.uri}".path == "agent/b"`,
      '!(principal is User) || !(principal in Role::"given")',
    ],
    call({}, principal),
  )
  const parties = ['principal is User', `principal == Workload::"${p.uri}"`, `principal == Workload::"${b.uri}"`]
  for (const missing of parties) {
    assert.equal(decided(parties.filter((one) => one !== missing).join(' || '), call({}, principal)), 'none', missing)
    assert.equal(
      said(
        judge({ texts: [all, `forbid(principal, action, resource) when { ${missing} };`] }).decide(call({}, principal)),
      ),
      'forbid',
    )
  }
  assert.equal(decided(parties.join(' || '), call({}, principal)), 'allow')
})

test('a workload for a workload, and a chain that comes back to its presenter', () => {
  const principal = caller('a', [], { subject: { kind: 'workload', id: agent('c') } })
  assertAllowed(
    [
      `context.delegation.depth == 1 && context.delegation.workload == Workload::"${agent('c').uri}"`,
      '!(context.delegation has user) && context.delegation.actors.contains(context.delegation.presenter)',
    ],
    call({}, principal),
  )
  const back = caller('a', [], { act: [agent('b')] })
  assertAllowed(
    [`context.delegation.depth == 2 && context.delegation.workload == Workload::"${agent('a').uri}"`],
    call({}, back),
  )
  assert.equal(decided(`principal == Workload::"${agent('a').uri}"`, call({}, back)), 'none')
})

test('only the presenter has the roles of the trust state; all have those of bindings', () => {
  const bindings = [{ role: 'r', workloads: ['spiffe://acme.example/agent/*'] }]
  const roles = [{ role: 'r', permissions: ['read'] }]
  const principal = caller('a', ['given'], { subject: { kind: 'workload', id: agent('b') } })
  const given = 'principal in Role::"given"'
  assert.equal(decided(given, call({}, principal)), 'none')
  assert.equal(decided(`${given} || principal.path == "agent/b"`, call({}, principal)), 'allow')
  assert.equal(decided('principal in Role::"r"', call({}, principal), { bindings, roles }), 'allow')
})

test('entities are those of the call and no other, by type and id', () => {
  const id = agent('a').uri
  assertAllowed(
    [
      `!(User::"${id}" has id) && !(Role::"${id}" has id) && !(Workload::"${agent('b').uri}" has id)`,
      '!(Prompt::"files/read" has name) && !(Tool::"files/other" has name) && Tool::"files/read" has name',
      '!(Role::"files" has name) && !(Server::"other" has name)',
      '!(Action::"tools/list" in Action::"write") && !(Role::"tools/call" in Action::"write")',
      '!(Workload::"none" in Action::"write") && !(Tool::"tools/call" in Action::"write")',
    ],
    call(),
  )
})

test('an actor has no roles but those of bindings', () => {
  const principal = caller('a', ['given'], { act: [agent('b')], subject: user })
  const verdict = judge({ texts: [permitWhen(`principal != Workload::"${agent('b').uri}"`)] }).decide(
    call({}, principal),
  )
  assert(verdict.effect === 'deny')
  assert.match(verdict.explanation, /^nothing allows it to spiffe:\/\/acme\.example\/agent\/b without roles; /)
  assertAllowed(
    ['context.delegation.depth == 1 && context.delegation has user'],
    call({}, caller('a', [], { subject: user })),
  )
})

test('an admin call of a tool is a call like others', () => {
  assert.equal(decided('context.effect == "admin"', toolCall(caller('a'), 'files/read', 'admin')), 'allow')
})

test('all that forbid are named, and long names are cut', () => {
  const forbid = 'forbid(principal, action, resource);'
  const verdict = judge({ texts: [all, forbid, forbid] }).decide(call())
  assert(verdict.effect === 'deny')
  assert.deepEqual(verdict.policies, ['p1', 'p2'])
  assert.match(verdict.explanation, / by p1, p2; /)
  const { action, resource } = call()
  const long = 'n'.repeat(300)
  const cut = (over: Partial<DecisionRequest>) => {
    const denied = judge({ texts: [] }).decide({ ...call(), ...over })
    assert.equal(denied.effect, 'deny')
    return denied.effect === 'deny' ? denied.explanation.split('; ') : []
  }
  assert.equal(cut({ action: { ...action, name: long } })[0], `unknown action "${'n'.repeat(60)}"`)
  assert.equal(cut({ resource: { ...resource, server: long } })[0], `unknown server "${'n'.repeat(60)}"`)
  assert(cut({ resource: { ...resource, name: long } })[1]?.endsWith(` files/${'n'.repeat(200)}`))
  const own = { server: 'authority', kind: 'route', name: `/${long}` } as const
  assert.equal(
    cut({ action: { name: 'GET', group: 'admin' }, resource: own })[0],
    `unknown route GET authority/${'n'.repeat(59)}`,
  )
})

test('an error in a policy that applies denies, whatever the others say', () => {
  for (const text of ['permit', 'forbid'])
    assert.equal(
      said(judge({ texts: [all, `${text}(principal, action, resource) when { context.args.a };`] }).decide(call())),
      'error',
    )
  const verdict = judge({ texts: [all, permitWhen('context.args.n > 1')] }).decide(call({ n: null }))
  assert(verdict.effect === 'deny')
  assert.deepEqual([verdict.reason, verdict.policies, verdict.wouldAllow], ['error', ['p1'], null])
  assert.match(
    verdict.explanation,
    /^policy p1 failed: .*null.*spiffe:\/\/acme\.example\/agent\/a: tools\/call \(write\) on tool files\/read$/,
  )
})

test('verdicts name policies, version and what would have allowed', () => {
  const allowed = judge({ texts: [all, all, permitWhen('false')] }).decide(call())
  assert.deepEqual(allowed, { effect: 'allow', policies: ['p0', 'p1'], obligations: [], version })
  const chain = judge({ texts: [all] }).decide(call({}, caller('a', [], { subject: user })))
  assert.deepEqual(chain, { effect: 'allow', policies: ['p0'], obligations: [], version })
  const listed = { name: 'tools/list', group: 'session' } as const
  const server = { server: 'files', kind: 'server', name: '' } as const
  assert.deepEqual(judge({ texts: [all] }).decide(ask(caller('a'), listed, server)), {
    effect: 'allow',
    policies: ['p0'],
    obligations: [{ kind: 'filter-list' }],
    version,
  })
  const name = 'spiffe://acme.example/agent/a'
  assert.deepEqual(judge({ texts: [] }).decide(call({}, caller('a', ['x', 'y']))), {
    effect: 'deny',
    reason: 'none',
    policies: [],
    explanation: `nothing allows it to ${name} with the roles x, y; ${name}: tools/call (write) on tool files/read`,
    wouldAllow: 'tools/call:files/read',
    version,
  })
  assert.deepEqual(
    judge({ texts: [all, 'forbid(principal, action, resource);'] }).decide(ask(caller('a'), listed, server)),
    {
      effect: 'deny',
      reason: 'forbid',
      policies: ['p1'],
      explanation: `forbidden to ${name} without roles by p1; ${name}: tools/list (session) on server files`,
      wouldAllow: null,
      version,
    },
  )
})

test('what is not known is denied before any policy is asked, in calls and in lists', () => {
  const one = judge({ texts: [all] })
  const use = call()
  const { action, resource } = use
  const long = (length: number) => ({ ...resource, name: 'x'.repeat(length) })
  const acting = (count: number) =>
    caller('a', [], { subject: user, act: Array.from({ length: count }, (_, i) => agent(`b${i}`)) })
  const ownRoute = { server: 'authority', kind: 'route', name: '/v1/status' } as const
  const cases: readonly (readonly [string, Partial<DecisionRequest>, RegExp | null])[] = [
    ['the action', { action: { ...action, name: 'tools/none' } }, /^unknown action "tools\/none"; /],
    ['the use', { action: { ...action, group: 'session' } }, /^tools\/call does not count as session on a tool; /],
    ['the server', { resource: { ...resource, server: 'none' } }, /^unknown server "none"; /],
    ['a long name', { resource: long(8193) }, /^a name of 8193 characters, at most 8192 are decided; /],
    ['a broken name', { resource: { ...resource, name: '\ud800' } }, /^a name that is not well-formed Unicode; /],
    ['a long chain', { principal: acting(5) }, /^a delegation chain of 5 actors; /],
    [
      'an admin route',
      { action: { name: 'GET', group: 'admin' }, resource: { server: 'files', kind: 'route', name: '/x' } },
      /^a route counts as admin on our own API only; /,
    ],
    [
      'an own route',
      { action: { name: 'GET', group: 'admin' }, resource: { ...ownRoute, name: '/v1/none' } },
      /^unknown route GET authority\/v1\/none; /,
    ],
    [
      'the group of an own route',
      { action: { name: 'GET', group: 'read' }, resource: ownRoute },
      /^unknown route GET authority\/v1\/status; /,
    ],
    ['the longest name', { resource: long(8192) }, null],
    ['the longest chain', { principal: acting(4) }, null],
    ['a right own route', { action: { name: 'GET', group: 'admin' }, resource: ownRoute }, null],
  ]
  for (const [name, over, expected] of cases) {
    const verdict = one.decide({ ...use, ...over })
    assert.equal(one.list({ ...use, ...over }), expected === null ? 'allow' : 'deny', name)
    assert.equal(verdict.effect, expected === null ? 'allow' : 'deny', name)
    if (verdict.effect === 'allow') assert.equal(expected, null, name)
    else {
      assert(expected !== null, name)
      assert.match(verdict.explanation, expected, name)
      assert.deepEqual(
        [verdict.reason, verdict.policies, verdict.wouldAllow, verdict.version],
        ['none', [], null, version],
      )
    }
  }
})

test('lists say what some arguments could do, for everyone in the chain', () => {
  const listed = (texts: readonly string[], principal: Principal = caller('a')) =>
    judge({ texts }).list(toolCall(principal, 'files/read', 'write', { n: 0 }))
  assert.equal(listed([permitWhen('context.args.n > 1')]), 'depends')
  assert.equal(listed([permitWhen('true || context.args.n == 1')]), 'allow')
  assert.equal(listed([permitWhen('context.args has n && false')]), 'deny')
  assert.equal(listed([all, 'forbid(principal, action, resource) when { context.args.n == 1 };']), 'depends')
  assert.equal(listed([all, 'forbid(principal, action, resource) when { context.args.n == 1 || true };']), 'deny')
  assert.equal(listed([all, permitWhen('context.args.n == 1 && false')]), 'depends')
  assert.equal(listed([all, permitWhen('principal.none')]), 'deny')
  assert.equal(listed([permitWhen('context == {}'), all]), 'allow')
  const chain = caller('a', [], { subject: user })
  assert.equal(listed([permitWhen('principal is Workload')], chain), 'deny')
  assert.equal(
    listed([permitWhen('principal is Workload'), permitWhen('principal is User && context.args.n == 1')], chain),
    'depends',
  )
  assert.equal(listed([all], chain), 'allow')
})

test('an address that no policy can judge fails in lists as it does in calls', () => {
  const text = 'forbid(principal, action, resource) when { context.address == ip("10.0.0.1") && context.args has n };'
  const one = judge({ texts: [all, text] })
  const request = { ...call(), context: { ...call().context, remoteAddress: 'localhost' } }
  assert.equal(said(one.decide(request)), 'error')
  assert.equal(one.list(request), 'deny')
})

test('known input schemas make numbers of the type that the tool says', () => {
  const inputSchema = { type: 'object', properties: { n: { type: 'number' } } } as const
  const over = { tools: [{ server: 'files', name: 'read', inputSchema }] }
  assert.equal(decided('context.args.n.lessThan(decimal("6.0"))', call({ n: 5 }), over), 'allow')
  assert.equal(decided('context.args.n.lessThan(decimal("6.0"))', call({ n: 5 })), 'error')
  const prompt = { server: 'files', kind: 'prompt', name: 'read' } as const
  assert.equal(
    decided('context.args.n == 5', ask(caller('a'), { name: 'prompts/get', group: 'read' }, prompt, { n: 5 }), over),
    'allow',
  )
})

test('a workload outside the path has an empty one', () => {
  const root = parseSpiffeId('spiffe://acme.example')
  const principal = caller('a', [], { presenter: root, subject: { kind: 'workload', id: root } })
  assert.equal(decided('principal.path == ""', call({}, principal)), 'allow')
})

test('what is called without arguments has none in lists either', () => {
  const resource = { server: 'files', kind: 'resource', name: 'x' } as const
  const request = ask(caller('a'), { name: 'resources/read', group: 'read' }, resource)
  for (const [condition, outlook] of [
    ['context has args', 'deny'],
    ['!(context has args)', 'allow'],
  ] as const) {
    const one = judge({ texts: [permitWhen(condition)] })
    assert.deepEqual([one.list(request), one.decide(request).effect], [outlook, outlook])
  }
})
