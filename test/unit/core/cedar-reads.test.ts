/** What policies look at, what scopes demand, and values that no policy can judge. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attribute, binaries, hasAttribute } from '../../../packages/core/src/policy/cedar/operations.ts'
import { looksAt, partsOf, readsOf } from '../../../packages/core/src/policy/cedar/reads.ts'
import { meets } from '../../../packages/core/src/policy/cedar/scope.ts'
import { Unfit } from '../../../packages/core/src/policy/cedar/unfit.ts'
import { CedarSet, EntityUid, equal } from '../../../packages/core/src/policy/cedar/value.ts'
import type { Constraint } from '../../../packages/core/src/policy/cedar/expression.ts'
import { parsed } from '../../fuzz/cedar-official.ts'

const policy = (condition: string, scope = 'principal, action, resource') =>
  parsed(`permit(${scope}) when { ${condition} };`)

function reads(...conditions: readonly string[]): string {
  const { attributes, args } = readsOf(conditions.map((condition) => policy(condition)))
  const shown = (names: ReadonlySet<string> | null) => (names === null ? 'all' : [...names].toSorted().join(','))
  return `${shown(attributes)} ${shown(args)}`.trim()
}

test('attributes of the context and members of the arguments, wherever they are looked at', () => {
  const cases = {
    true: '',
    'principal.name == resource.name': '',
    'context.effect == "read"': 'effect',
    'context.time.hour > 8': 'time',
    'context has address': 'address',
    'context has args': 'args',
    'context.args.a == 1': 'args a',
    'context.args.a.b == 1': 'args a',
    'context.args has a': 'args a',
    'context.args has a.b': 'args a',
    'context has args.a.b': 'args a',
    'context has time.hour': 'time',
    'context == {}': 'all all',
    '[context].isEmpty()': 'all all',
    '{x: context}.x.args.a == 1': 'all all',
    'context.args == {}': 'args all',
    'context.args.a == 1 && context.args == context.x': 'args,x all',
    '(if context.a then context.b else context.c) == 1': 'a,b,c',
    'context["args"]["a"] like "x"': 'args a',
    '!context.a': 'a',
    'context.a is User in context.b': 'a,b',
    '[context.a, {x: context.b}].contains(context.c)': 'a,b,c',
    'ip(context.a).isInRange(context.b)': 'a,b',
    'principal.hasTag(context.a) && principal.getTag(context.b)': 'a,b',
    'resource.args.a == context.b': 'b',
    'principal has args.a': '',
    'principal.context.x == 1': '',
    'principal.context has args.a': '',
    'context.args.a has b && context.args.c': 'args a,c',
    'context.a.args.b': 'a',
  }
  assert.deepEqual(Object.fromEntries(Object.keys(cases).map((one) => [one, reads(one)])), cases)
  assert.equal(reads('context.a', 'context.args.b', 'principal.c'), 'a,args b')
  assert.equal(reads('context.args.b', 'context == {}'), 'all all')
})

test('the parts of an expression', () => {
  const count = (condition: string) => {
    const [first] = policy(condition).conditions
    assert(first !== undefined)
    return partsOf(first.body).length
  }
  const cases = {
    true: 0,
    'principal.b': 1,
    '!true': 1,
    'principal has b': 1,
    '"a" like "*"': 1,
    'principal is User': 1,
    'principal is User in resource': 2,
    '1 < 2': 2,
    'true && false': 2,
    'true || false': 2,
    'if true then false else true': 3,
    '[1, 2, 3]': 3,
    '{a: 1, b: 2}': 2,
    'ip("::1").isInRange(ip("::2"))': 2,
  }
  assert.deepEqual(Object.fromEntries(Object.keys(cases).map((one) => [one, count(one)])), cases)
})

test('one attribute', () => {
  assert.equal(looksAt(policy('context.args.a'), 'args'), true)
  assert.equal(looksAt(policy('context.time.hour > 1'), 'args'), false)
  assert.equal(looksAt(policy('context == {}'), 'args'), true)
  assert.equal(looksAt(parsed('permit(principal, action, resource);'), 'args'), false)
})

const [a, b, role] = [new EntityUid('User', 'a'), new EntityUid('User', 'b'), new EntityUid('Role', 'r')]
const entity = ({ key }: EntityUid) =>
  key === a.key ? { attributes: new Map(), tags: new Map(), ancestors: new Set([role.key]) } : null

test('scopes', () => {
  const cases: readonly (readonly [Constraint, boolean, boolean])[] = [
    [{ kind: 'any' }, true, true],
    [{ kind: 'equal', uid: a }, true, false],
    [{ kind: 'equal', uid: new EntityUid('Role', 'a') }, false, false],
    [{ kind: 'in', uids: [role] }, true, false],
    [{ kind: 'in', uids: [b, role] }, true, true],
    [{ kind: 'in', uids: [] }, false, false],
    [{ kind: 'is', type: 'User', within: null }, true, true],
    [{ kind: 'is', type: 'Role', within: null }, false, false],
    [{ kind: 'is', type: 'User', within: role }, true, false],
    [{ kind: 'is', type: 'Role', within: role }, false, false],
  ]
  for (const [constraint, forA, forB] of cases)
    assert.deepEqual([meets(constraint, a, { entity }), meets(constraint, b, { entity })], [forA, forB])
})

test('a value that is unfit is there, cannot be read, and equals nothing', () => {
  const unfit = new Unfit('null')
  const record = new Map([['n', unfit]])
  const world = { entity: () => null }
  assert.equal(hasAttribute(record, 'n', world), true)
  assert.throws(() => attribute(record, 'n', world), /null, which no policy can judge/)
  assert.equal(equal(unfit, new Unfit('null')), false)
  assert.equal(equal(1, unfit), false)
  assert.equal(equal(new Map([['n', unfit]]), new Map([['n', new Unfit('null')]])), false)
  assert.equal(new CedarSet([new Map([['n', 1]])]).has(record), false)
  assert.throws(() => binaries['<'](unfit, 1, world), /got null/)
})
