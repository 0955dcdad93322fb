/** Cedar's JSON format is read strictly: what is not known is refused. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import { readExpression, readPolicy } from '../../../packages/core/src/policy/cedar/expression.ts'
import { EntityUid } from '../../../packages/core/src/policy/cedar/value.ts'

const any = { op: 'All' }
const policy = { effect: 'permit', principal: any, action: any, resource: any, conditions: [] }

function refused(read: () => unknown): string {
  try {
    return JSON.stringify(read())
  } catch (error) {
    return isDoorwardError(error) ? error.code : String(error)
  }
}

test('a policy with everything that it may have', () => {
  const uid = { type: 'User', id: 'a' }
  const read = readPolicy('p', {
    effect: 'forbid',
    principal: { op: '==', entity: uid },
    action: { op: 'in', entities: [uid, { type: 'User', id: 'b' }] },
    resource: { op: 'is', entity_type: 'Tool', in: { entity: uid } },
    conditions: [
      { kind: 'when', body: { Value: true } },
      { kind: 'unless', body: { Var: 'context' } },
    ],
    annotations: { id: 'x', empty: null },
  })
  const a = new EntityUid('User', 'a')
  assert.deepEqual(read, {
    id: 'p',
    effect: 'forbid',
    principal: { kind: 'equal', uid: a },
    action: { kind: 'in', uids: [a, new EntityUid('User', 'b')] },
    resource: { kind: 'is', type: 'Tool', within: a },
    conditions: [
      { kind: 'when', body: { kind: 'literal', value: true } },
      { kind: 'unless', body: { kind: 'variable', name: 'context' } },
    ],
    annotations: new Map([
      ['id', 'x'],
      ['empty', ''],
    ]),
  })
  const small = readPolicy('q', {
    ...policy,
    principal: { op: 'in', entity: uid },
    resource: { op: 'is', entity_type: 'T' },
  })
  assert.deepEqual(small.principal, { kind: 'in', uids: [a] })
  assert.deepEqual(small.resource, { kind: 'is', type: 'T', within: null })
  assert.deepEqual([small.effect, small.action, small.annotations], ['permit', { kind: 'any' }, new Map()])
})

test('what is no policy is refused', () => {
  const wrong: readonly unknown[] = [
    null,
    'permit',
    [],
    {},
    { ...policy, effect: 'allow' },
    { ...policy, principal: null },
    { ...policy, principal: { op: '!=' } },
    { ...policy, principal: { op: '==', entity: null } },
    { ...policy, principal: { op: '==', entity: { type: 'User' } } },
    { ...policy, principal: { op: '==', entity: { type: 1, id: 'a' } } },
    { ...policy, principal: { op: '==', slot: '?principal' } },
    { ...policy, action: { op: 'in', entities: {} } },
    { ...policy, resource: { op: 'is' } },
    { ...policy, resource: { op: 'is', entity_type: 'T', in: null } },
    { ...policy, resource: { op: 'is', entity_type: 'T', in: { slot: '?resource' } } },
    { ...policy, conditions: {} },
    { ...policy, conditions: [null] },
    { ...policy, conditions: [{ kind: 'if', body: { Value: true } }] },
    { ...policy, conditions: [{ kind: 'when' }] },
    { ...policy, annotations: [] },
  ]
  for (const json of wrong)
    assert.equal(
      refused(() => readPolicy('p', json)),
      'policy_unreadable',
      JSON.stringify(json),
    )
})

test('expressions as they are written', () => {
  const [one, two] = [{ Value: 1 }, { Value: 2 }]
  const [first, second] = [
    { kind: 'literal', value: 1 },
    { kind: 'literal', value: 2 },
  ]
  const cases: readonly (readonly [unknown, unknown])[] = [
    [{ Value: 'x' }, { kind: 'literal', value: 'x' }],
    [{ Value: 9_007_199_254_740_993n }, { kind: 'literal', value: 9_007_199_254_740_993n }],
    [{ Value: 5n }, { kind: 'literal', value: 5 }],
    [{ Value: [1, 2] }, { kind: 'set', members: [first, second] }],
    [{ Value: { a: 1 } }, { kind: 'record', members: new Map([['a', first]]) }],
    [{ Value: { __entity: { type: 'T', id: 'i' } } }, { kind: 'literal', value: new EntityUid('T', 'i') }],
    [
      { Value: { __extn: { fn: 'ip', arg: '::1' } } },
      { kind: 'call', name: 'ip', operands: [{ kind: 'literal', value: '::1' }] },
    ],
    [
      { Value: { __extn: { fn: 'ip', args: ['::1'] } } },
      { kind: 'call', name: 'ip', operands: [{ kind: 'literal', value: '::1' }] },
    ],
    [{ '!': { arg: one } }, { kind: 'unary', operator: '!', operand: first }],
    [{ neg: { arg: one } }, { kind: 'unary', operator: 'neg', operand: first }],
    [{ isEmpty: { arg: one } }, { kind: 'unary', operator: 'isEmpty', operand: first }],
    [{ '&&': { left: one, right: two } }, { kind: 'and', left: first, right: second }],
    [{ '||': { left: one, right: two } }, { kind: 'or', left: first, right: second }],
    [{ '-': { left: one, right: two } }, { kind: 'binary', operator: '-', left: first, right: second }],
    [{ Set: [one, two] }, { kind: 'set', members: [first, second] }],
    [{ Record: { a: one } }, { kind: 'record', members: new Map([['a', first]]) }],
    [
      { 'if-then-else': { if: { Value: true }, then: one, else: two } },
      { kind: 'if', test: { kind: 'literal', value: true }, yes: first, no: second },
    ],
    [{ '.': { left: one, attr: 'a' } }, { kind: 'get', of: first, name: 'a' }],
    [{ has: { left: one, attr: 'a' } }, { kind: 'has', of: first, path: ['a'] }],
    [{ has: { left: one, attr: ['a', 'b'] } }, { kind: 'has', of: first, path: ['a', 'b'] }],
    [
      { like: { left: one, pattern: ['Wildcard', { Literal: 'x' }] } },
      { kind: 'like', of: first, pattern: [null, 'x'] },
    ],
    [{ is: { left: one, entity_type: 'T' } }, { kind: 'is', of: first, type: 'T', within: null }],
    [{ is: { left: one, entity_type: 'T', in: two } }, { kind: 'is', of: first, type: 'T', within: second }],
    [{ lessThan: [one, two] }, { kind: 'call', name: 'lessThan', operands: [first, second] }],
  ]
  for (const [json, expected] of cases) assert.deepEqual(readExpression(json, 0), expected)
  for (const name of ['principal', 'action', 'resource', 'context'])
    assert.deepEqual(readExpression({ Var: name }, 0), { kind: 'variable', name })
})

test('what is no expression is refused', () => {
  const one = { Value: 1 }
  const wrong: readonly unknown[] = [
    null,
    1,
    [],
    {},
    { Value: true, Var: 'context' },
    { Var: 'self' },
    { Slot: '?principal' },
    { Unknown: { name: 'x' } },
    { Value: null },
    { Value: 1.5 },
    { Value: 2 ** 53 },
    { Value: undefined },
    { Value: { __entity: 'x' } },
    { Value: { __extn: 'x' } },
    { Value: { __extn: { fn: 1, arg: 'x' } } },
    { Value: { __extn: { fn: 'toString', arg: 'x' } } },
    { Value: { __extn: { fn: 'ip', args: 'x' } } },
    { '!': one },
    { '!': null },
    { '&&': { left: one } },
    { '==': { right: one } },
    { '==': one },
    { Set: one },
    { Record: [] },
    { 'if-then-else': { if: one, then: one } },
    { '.': { left: one } },
    { '.': { left: one, attr: 1 } },
    { has: { left: one, attr: [1] } },
    { has: { left: one } },
    { like: { left: one, pattern: 'x' } },
    { like: { left: one, pattern: ['x'] } },
    { like: { left: one, pattern: [{ Literal: 1 }] } },
    { is: { left: one } },
    { is: { left: one, entity_type: 1 } },
    { ip: one },
    { toString: [one] },
    { constructor: [one] },
  ]
  for (const json of wrong)
    assert.equal(
      refused(() => readExpression(json, 0)),
      'policy_unreadable',
      JSON.stringify(json),
    )
})

test('nesting has an end, in expressions and in values', () => {
  const nots = (depth: number, inmost: object) => {
    let json: unknown = inmost
    for (let i = 0; i < depth; i++) json = { '!': { arg: json } }
    return json
  }
  const literals = (depth: number) => nots(depth, { Value: true })
  const variables = (depth: number) => nots(depth, { Var: 'principal' })
  const values = (depth: number) => {
    let json: unknown = 1
    for (let i = 0; i < depth; i++) json = i % 2 === 0 ? [json] : { a: json }
    return { Value: json }
  }
  const calls = (depth: number) => {
    let json: unknown = '1.2.3.4'
    for (let i = 0; i < depth; i++) json = { __extn: { fn: 'ip', arg: json } }
    return { Value: json }
  }
  for (const nested of [literals, variables, values, calls]) {
    assert.notEqual(
      refused(() => readExpression(nested(500), 0)),
      'policy_unreadable',
    )
    assert.equal(
      refused(() => readExpression(nested(501), 0)),
      'policy_unreadable',
    )
  }
})

test('a refusal says what was expected, and little of what was there', () => {
  assert.throws(
    () => readPolicy('p', { ...policy, effect: 'x'.repeat(500) }),
    (error) => isDoorwardError(error) && error.expected === 'permit or forbid' && error.got === 'x'.repeat(100),
  )
})
