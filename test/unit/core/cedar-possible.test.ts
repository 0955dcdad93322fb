/** What expressions and policies may turn out to be while parts of the request are not known, one by one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IpAddress } from '../../../packages/core/src/policy/cedar/ip-address.ts'
import type { Policy } from '../../../packages/core/src/policy/cedar/expression.ts'
import { PolicySet } from '../../../packages/core/src/policy/cedar/policy-set.ts'
import { outcomesOf, outcomesOfPolicy, someEntity, unknown } from '../../../packages/core/src/policy/cedar/possible.ts'
import type { Open, PartialWorld } from '../../../packages/core/src/policy/cedar/possible.ts'
import { Unfit } from '../../../packages/core/src/policy/cedar/unfit.ts'
import { CedarSet, EntityUid } from '../../../packages/core/src/policy/cedar/value.ts'
import type { Value } from '../../../packages/core/src/policy/cedar/value.ts'
import { parsed } from '../../fuzz/cedar-official.ts'

const [ann, role, server] = [new EntityUid('User', 'ann'), new EntityUid('Role', 'r'), new EntityUid('Server', 's')]
const known = new Map([
  [
    ann.key,
    {
      attributes: new Map<string, Value>([
        ['n', 1],
        ['r', new Map([['b', true]])],
        ['bad', new Unfit('null')],
      ]),
      tags: new Map<string, Value>([['t', true]]),
      ancestors: new Set([role.key]),
    },
  ],
])

const partial: PartialWorld = {
  principal: ann,
  action: new EntityUid('Action', 'do'),
  resource: someEntity('Tool', new Set([server.key])),
  context: new Map<string, Value | Open>([
    ['args', unknown],
    ['n', 3],
    ['b', true],
    ['ns', new CedarSet([1, 2])],
    ['ip', IpAddress.parse('1.2.3.4')],
    ['bad', new Unfit('null')],
  ]),
  entity: ({ key }) => known.get(key) ?? null,
}

function shown(outcomes: number): string {
  return ['T', 'F', 'O', 'E'].filter((_letter, i) => (outcomes & (1 << i)) !== 0).join('')
}

const bodyOf = (condition: string) => {
  const [first] = parsed(`permit(principal, action, resource) when { ${condition} };`).conditions
  assert(first !== undefined)
  return first.body
}

function assertOutcomes(cases: Readonly<Record<string, string>>, world: PartialWorld = partial): void {
  const got = Object.keys(cases).map((one) => [one, shown(outcomesOf(bodyOf(one), world))])
  assert.deepEqual(Object.fromEntries(got), cases)
}

test('what is known has one outcome', () => {
  assertOutcomes({
    true: 'T',
    false: 'F',
    '1': 'E',
    '!true': 'F',
    '!false': 'T',
    '!1': 'E',
    'context.b': 'T',
    'context.n == 3': 'T',
    'context.n > 3': 'F',
    'context.n + 1 == 4': 'T',
    '-(context.n) == -3': 'T',
    'context.ns.isEmpty()': 'F',
    'context.n.isEmpty()': 'E',
    'context.none': 'E',
    'context.bad == 1': 'E',
    'context has bad': 'T',
    'context has none': 'F',
    'context has n.x': 'E',
    'context has bad.x': 'E',
    'principal.n == 1': 'T',
    'principal.bad == 1': 'E',
    'principal has n': 'T',
    'principal has none': 'F',
    'principal has r.b': 'T',
    'principal has r.c': 'F',
    'principal has none.b': 'F',
    'principal has n.b': 'E',
    'principal has bad.b': 'E',
    'principal.hasTag("t") && principal.getTag("t")': 'T',
    'principal.getTag("u")': 'E',
    'principal is User': 'T',
    'principal is Role': 'F',
    'principal is User in Role::"r"': 'T',
    'principal is User in Role::"s"': 'F',
    'principal is Role in 1': 'F',
    'principal is User in 1': 'E',
    '1 is User': 'E',
    '1 is User in Role::"r"': 'E',
    'principal in [Role::"r"]': 'T',
    'context.ip.isLoopback()': 'F',
    'context.ip == ip("1.2.3.4")': 'T',
    'ip("x").isLoopback()': 'E',
    '"ab" like "a*"': 'T',
    '1 like "a*"': 'E',
    '[1, 2] == [2, 1]': 'T',
    '[].isEmpty()': 'T',
    '{} == {}': 'T',
    '{a: 1, b: 2} == {b: 2, a: 1}': 'T',
    '{a: 1}.a == 1': 'T',
    'if context.b then false else 1': 'F',
    'if !context.b then 1 else true': 'T',
    'if 1 then true else false': 'E',
    'false && context.none': 'F',
    'true && context.none': 'E',
    'true || context.none': 'T',
    'false || context.none': 'E',
    'context.none || true': 'E',
    'context.none && false': 'E',
    'action == Action::"do"': 'T',
    '{context: {n: 4}}.context.n == 4': 'T',
    '(if true then context.n else 1) == 3': 'T',
    '(if false then 1 else context.n) == 3': 'T',
  })
})

test('a context of which all is known is known as a whole', () => {
  const context = new Map<string, Value>([['n', 3]])
  assertOutcomes({ 'context == {n: 3}': 'T', 'context == {}': 'F', context: 'E' }, { ...partial, context })
})

test('what is not known leaves open what each operator may do with it', () => {
  assertOutcomes({
    'context.args': 'TFE',
    '!context.args': 'TFE',
    'context.args == 1': 'TF',
    'context.args != 1': 'TF',
    'context.args == context.none': 'E',
    'context.none == context.args': 'E',
    'context.args.n == 1': 'TFE',
    'context.args.n': 'TFE',
    'context.args < 1': 'TFE',
    'context.args <= 1': 'TFE',
    'context.args > 1': 'TFE',
    'context.args >= 1': 'TFE',
    'context.args + 1': 'E',
    'context.args - 1 == 1': 'TFE',
    '1 * context.args == 1': 'TFE',
    '-context.args == 1': 'TFE',
    '-context.args': 'E',
    'context.args.isEmpty()': 'TFE',
    'context.args has n': 'TFE',
    'context has args': 'T',
    'context has args.n': 'TFE',
    'context.args like "a*"': 'TFE',
    'context.args is User': 'TFE',
    'context.args is User in Role::"r"': 'TFE',
    'context.args is User in context.none': 'FE',
    'principal is User in context.args': 'TFE',
    'principal is Role in context.args': 'F',
    'context.args in Role::"r"': 'TFE',
    'context.args.contains(1)': 'TFE',
    'context.args.containsAll([1])': 'TFE',
    'context.args.containsAny([1])': 'TFE',
    '[1].contains(context.args)': 'TFE',
    '[context.args].contains(1)': 'TFE',
    '[context.args] == [1]': 'TF',
    '[context.args]': 'E',
    '[context.args.n] == [1]': 'TFE',
    '[context.args, context.none] == [1]': 'E',
    '{a: context.args} == {a: 1}': 'TF',
    '{a: context.args}': 'E',
    '{a: context.args.n} == {a: 1}': 'TFE',
    '{a: context.args, b: context.none} == {a: 1}': 'E',
    'principal.getTag(context.args)': 'TFE',
    'principal.hasTag(context.args)': 'TFE',
    'ip(context.args).isLoopback()': 'TFE',
    'ip(context.args)': 'E',
    'ip(context.args) == ip("::1")': 'TFE',
    'context.ip.isInRange(context.args)': 'TFE',
    'decimal(context.args).lessThan(decimal("1.0"))': 'TFE',
    'decimal("1.0").greaterThan(context.args)': 'TFE',
    'ip("x").isInRange(context.args)': 'E',
    'duration(context.args).toDays() > 1': 'TFE',
    'context == {}': 'TF',
    context: 'E',
    'decimal(context.args).lessThanOrEqual(decimal("1.0"))': 'TFE',
    'decimal(context.args).greaterThanOrEqual(decimal("1.0"))': 'TFE',
    'ip(context.args).isIpv4()': 'TFE',
    'ip(context.args).isIpv6()': 'TFE',
    'ip(context.args).isMulticast()': 'TFE',
    'if context.args == 1 then context.args == 2 else false': 'TF',
    'if context.args then true else true': 'TE',
    'if context.args then false else false': 'FE',
    'if context.args then 1 else 2': 'E',
    'if context.args == 1 then true else true': 'T',
    'if context.args == 1 then true else context.none': 'TE',
    '(if context.args == 1 then 1 else true) == 1': 'TF',
  })
})

test('logic narrows as far as one side is known', () => {
  assertOutcomes({
    'context.args == 1 && false': 'F',
    'context.args == 1 && true': 'TF',
    'context.args == 1 || true': 'T',
    'context.args == 1 || false': 'TF',
    'context.args && false': 'FE',
    'context.args || true': 'TE',
    'context.args == 1 && context.none': 'FE',
    'context.args == 1 || context.none': 'TE',
    'false && context.args': 'F',
    'true && context.args': 'TFE',
    'true || context.args': 'T',
    'false || context.args': 'TFE',
    '(context.args == 1 || true) == true': 'T',
    '(context.args == 1 && false) == false': 'T',
    '!(context.args == 1 && false)': 'T',
    '!(context.args && false)': 'TE',
    'context.args == 1 && (context.args == 2 || true)': 'TF',
  })
})

test('an entity of which only the type is known, and what is above it', () => {
  assertOutcomes({
    'resource is Tool': 'T',
    'resource is User': 'F',
    'resource in Server::"s"': 'T',
    'resource in Server::"t"': 'F',
    'resource in Tool::"x"': 'TF',
    'resource in [Server::"t", Server::"s"]': 'T',
    'resource in [Server::"t"]': 'F',
    'resource in []': 'F',
    'resource in [Server::"t", 1]': 'TFE',
    'resource in 1': 'TFE',
    'resource in context.args': 'TFE',
    'resource == Tool::"x"': 'TF',
    'resource == Server::"s"': 'TF',
    'resource != Tool::"x"': 'TF',
    'resource has name': 'TFE',
    'resource.name == "x"': 'TFE',
    'resource is Tool in Server::"s"': 'TFE',
    'resource is User in context.none': 'F',
    resource: 'E',
  })
  assertOutcomes(
    { 'resource in Server::"s"': 'TF', 'resource is Tool': 'T', 'resource in []': 'TF' },
    { ...partial, resource: someEntity('Tool') },
  )
  assertOutcomes({ 'resource in Server::"s"': 'TFE', 'resource is Tool': 'TFE' }, { ...partial, resource: unknown })
})

test('an entity that is opaque may exist, with anything', () => {
  const opaque = ({ type }: EntityUid) => type === 'Workload'
  assertOutcomes(
    {
      'Workload::"x" has id': 'TFE',
      'Workload::"x".id == "x"': 'TFE',
      'Workload::"x" in Role::"r"': 'TFE',
      'Role::"x" has id': 'F',
      'Workload::"x"': 'E',
    },
    { ...partial, opaque },
  )
  assertOutcomes({ 'Workload::"x" has id': 'F' })
})

test('policies: the scope first, then one condition after the other', () => {
  const cases: Readonly<Record<string, string>> = {
    'permit(principal, action, resource);': 'T',
    'permit(principal == User::"bob", action, resource) when { context.none };': 'F',
    'permit(principal in Role::"r", action, resource);': 'T',
    'permit(principal is User, action, resource);': 'T',
    'permit(principal is User in Role::"s", action, resource);': 'F',
    'permit(principal, action == Action::"do", resource);': 'T',
    'permit(principal, action in [Action::"other"], resource);': 'F',
    'permit(principal, action, resource == Tool::"x");': 'TF',
    'permit(principal, action, resource == User::"x");': 'F',
    'permit(principal, action, resource in Server::"s");': 'T',
    'permit(principal, action, resource in Server::"t");': 'F',
    'permit(principal, action, resource in Tool::"t");': 'TF',
    'permit(principal, action, resource is Tool);': 'T',
    'permit(principal, action, resource is User);': 'F',
    'permit(principal, action, resource is Tool in Server::"s");': 'T',
    'permit(principal, action, resource is Tool in Server::"t");': 'F',
    'permit(principal, action, resource is User in Server::"s");': 'F',
    'permit(principal, action, resource == Tool::"x") when { context.none };': 'FE',
    'permit(principal, action, resource == Tool::"x") when { false };': 'F',
    'permit(principal, action, resource) when { false } when { context.none };': 'F',
    'permit(principal, action, resource) unless { true } when { context.none };': 'F',
    'permit(principal, action, resource) unless { false };': 'T',
    'permit(principal, action, resource) unless { context.args == 1 };': 'TF',
    'permit(principal, action, resource) unless { context.args };': 'TFE',
    'permit(principal, action, resource) unless { context.args || true };': 'FE',
    'permit(principal, action, resource) unless { context.args && false };': 'TE',
    'permit(principal, action, resource) when { context.args == 1 } unless { context.none };': 'FE',
    'permit(principal, action, resource) when { context.args } when { false };': 'FE',
  }
  const got = Object.keys(cases).map((text) => [text, shown(outcomesOfPolicy(parsed(text), partial))])
  assert.deepEqual(Object.fromEntries(got), cases)
  const open = { ...partial, principal: unknown, resource: someEntity('Tool') }
  assert.equal(shown(outcomesOfPolicy(parsed('permit(principal == User::"x", action, resource);'), open)), 'TF')
  assert.equal(shown(outcomesOfPolicy(parsed('permit(principal, action, resource in Server::"s");'), open)), 'TF')
})

const args = new Map<string, Value>([['n', 1]])
const world = {
  ...partial,
  principal: ann,
  action: new EntityUid('Action', 'do'),
  resource: new EntityUid('Tool', 'x'),
}
const context = new Map<string, Value>([
  ['args', args],
  ['n', 3],
])
const open = { ...world, context: new Map<string, Value | Open>([...context, ['args', unknown]]) }
const outlook = (...texts: readonly string[]) =>
  new PolicySet(texts.map((text, i) => parsed(text, `p${i}`))).outlook({ ...world, context }, open)

test('the outlook of a set, where any failure denies', () => {
  const permit = (condition: string) => `permit(principal, action, resource) when { ${condition} };`
  const forbid = (condition: string) => `forbid(principal, action, resource) when { ${condition} };`
  const cases: readonly (readonly [string, ...string[]])[] = [
    ['deny'],
    ['deny', permit('false')],
    ['allow', permit('true')],
    ['allow', permit('true'), permit('false')],
    ['depends', permit('context.args == 1')],
    ['allow', permit('context.args == 1'), permit('true')],
    ['depends', permit('context.args.n == 1'), permit('true')],
    ['deny', permit('context.args == context.none'), permit('true')],
    ['deny', permit('context.none'), permit('true')],
    ['deny', permit('true'), forbid('true')],
    ['allow', permit('true'), forbid('false')],
    ['deny', permit('true'), forbid('context.none')],
    ['deny', forbid('true')],
    ['deny', forbid('false')],
    ['deny', forbid('context.args == 1')],
    ['depends', permit('true'), forbid('context.args == 1')],
    ['deny', permit('true'), forbid('context.args == 1 || true')],
    ['deny', permit('true'), forbid('context.args || true')],
    ['depends', permit('true'), forbid('context.args && false')],
    ['deny', permit('context.args == 1 && false')],
    ['depends', permit('context.args && false'), permit('true')],
    ['depends', permit('context.args || true')],
    ['allow', permit('true'), 'forbid(principal == User::"bob", action, resource);'],
    ['allow', permit('true'), 'forbid(principal == User::"bob", action, resource) when { context.args.n == 1 };'],
    ['allow', 'permit(principal in Role::"r", action, resource in Tool::"x");'],
    ['deny', 'permit(principal, action == Action::"other", resource);'],
    ['deny', 'permit(principal is Role, action, resource);'],
    ['deny', 'permit(principal, action, resource is User);'],
    ['deny', 'permit(principal is Role in Role::"r", action, resource);'],
    ['allow', permit('true'), 'forbid(principal, action in [Action::"other"], resource);'],
  ]
  for (const [expected, ...texts] of cases) assert.equal(outlook(...texts), expected, texts.join(' '))
})

test('every condition counts, and policies are named in their order', () => {
  const decide = (...texts: readonly string[]) => {
    const set = new PolicySet(texts.map((text, i) => parsed(text, `p${i}`)))
    const { decision, reasons, errors } = set.authorize({ ...world, context })
    return [decision, reasons.join(), errors.map(({ policyId }) => policyId).join()].join(' ')
  }
  const of = (...bodies: readonly string[]) =>
    `permit(principal, action, resource) ${bodies.map((body) => `when { ${body} }`).join(' ')};`
  assert.equal(decide(of('true', 'true', 'true')), 'allow p0 ')
  assert.equal(decide(of('true', 'true', 'false')), 'deny  ')
  assert.equal(decide(of('true', 'false', 'true')), 'deny  ')
  assert.equal(decide(of('false', 'true', 'true')), 'deny  ')
  assert.equal(decide(of('true', 'true', 'context.none')), 'deny  p0')
  assert.equal(decide(of('true', 'false', 'context.none')), 'deny  ')
  assert.equal(decide(of('true', 'false')), 'deny  ')
  const mixed = [
    'permit(principal, action, resource);',
    'permit(principal in Role::"r", action, resource);',
    'permit(principal, action, resource in Tool::"x");',
    'permit(principal == User::"ann", action, resource == Tool::"x");',
    'permit(principal, action in [Action::"do", Action::"other"], resource);',
    'permit(principal is User, action == Action::"do", resource is Tool);',
    'permit(principal is User in Role::"r", action, resource is Tool in Tool::"x");',
  ]
  assert.equal(decide(...mixed), 'allow p0,p1,p2,p3,p4,p5,p6 ')
  assert.equal(decide(...mixed.toReversed()), 'allow p0,p1,p2,p3,p4,p5,p6 ')
  const failing = mixed.map((text) => text.replace(';', ' when { context.none };'))
  assert.equal(decide(...failing.toReversed()), 'deny  p0,p1,p2,p3,p4,p5,p6')
  const others = [
    'permit(principal, action == Action::"other", resource);',
    'permit(principal, action in [Action::"other"], resource);',
    'permit(principal, action in [], resource);',
    'permit(principal is Role, action, resource);',
    'permit(principal is User in Role::"s", action, resource);',
    'permit(principal in Role::"r", action, resource is User);',
    'permit(principal in Role::"r", action == Action::"other", resource in Tool::"x");',
    'permit(principal is Role in Role::"r", action, resource);',
  ]
  assert.equal(decide(...others), 'deny  ')
})

test('scopes that name several entities', () => {
  const all = parsed('permit(principal, action, resource);')
  const [bob, thing] = [new EntityUid('User', 'bob'), new EntityUid('Tool', 'x')]
  const decide = (over: Partial<Policy>) => {
    const { decision, reasons } = new PolicySet([{ ...all, ...over }]).authorize({ ...world, context })
    return `${decision} ${reasons.join()}`
  }
  const of = (...uids: readonly EntityUid[]) => ({ kind: 'in', uids }) as const
  for (const uids of [[role], [bob, role], [role, bob], [role, ann], [ann, bob]])
    assert.equal(decide({ principal: of(...uids) }), 'allow p')
  for (const uids of [[], [bob], [bob, server]]) assert.equal(decide({ principal: of(...uids) }), 'deny ')
  assert.equal(decide({ principal: of(bob, role), resource: of(server, thing) }), 'allow p')
  assert.equal(decide({ principal: of(bob, role), resource: of(server, bob) }), 'deny ')
})
