/** What is written the same is one closure, and nothing else is. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExpressionCompiler } from '../../../packages/core/src/policy/cedar/compile-expression.ts'
import type { Expression } from '../../../packages/core/src/policy/cedar/expression.ts'
import { EntityUid } from '../../../packages/core/src/policy/cedar/value.ts'

type Literal = Extract<Expression, { kind: 'literal' }>['value']

const literal = (value: Literal): Expression => ({ kind: 'literal', value })
const context: Expression = { kind: 'variable', name: 'context' }
const get = (of: Expression, name: string): Expression => ({ kind: 'get', of, name })

/** Made anew each time, so that nothing is recognised by being the same object. */
const different: readonly (() => Expression)[] = [
  () => literal(1),
  () => literal('1'),
  () => literal(2n ** 62n),
  () => literal(String(2n ** 62n)),
  () => literal(true),
  () => literal('true'),
  () => literal(new EntityUid('Role', 'a')),
  () => literal(new EntityUid('Role', 'b')),
  () => literal('["Role","a"]'),
  () => ({ kind: 'variable', name: 'principal' }),
  () => ({ kind: 'variable', name: 'action' }),
  () => ({ kind: 'variable', name: 'resource' }),
  () => ({ kind: 'variable', name: 'context' }),
  () => ({ kind: 'unary', operator: '!', operand: literal(1) }),
  () => ({ kind: 'unary', operator: 'neg', operand: literal(1) }),
  () => ({ kind: 'unary', operator: 'neg', operand: literal('1') }),
  () => ({ kind: 'binary', operator: '<', left: literal(1), right: literal(2) }),
  () => ({ kind: 'binary', operator: '<', left: literal(2), right: literal(1) }),
  () => ({ kind: 'binary', operator: '<=', left: literal(1), right: literal(2) }),
  () => ({ kind: 'and', left: literal(1), right: literal(2) }),
  () => ({ kind: 'or', left: literal(1), right: literal(2) }),
  () => ({ kind: 'if', test: literal(true), yes: literal(1), no: literal(2) }),
  () => ({ kind: 'if', test: literal(true), yes: literal(2), no: literal(1) }),
  () => get(context, 'a'),
  () => get(context, 'b'),
  () => get(get(context, 'a'), 'b'),
  () => ({ kind: 'has', of: context, path: ['a'] }),
  () => ({ kind: 'has', of: context, path: ['a', 'b'] }),
  () => ({ kind: 'has', of: context, path: ['a","b'] }),
  () => ({ kind: 'like', of: context, pattern: ['a', null] }),
  () => ({ kind: 'like', of: context, pattern: [null, 'a'] }),
  () => ({ kind: 'like', of: context, pattern: ['anull'] }),
  () => ({ kind: 'is', of: context, type: 'Role', within: null }),
  () => ({ kind: 'is', of: context, type: 'Role', within: literal(1) }),
  () => ({ kind: 'is', of: context, type: 'User', within: null }),
  () => ({ kind: 'set', members: [] }),
  () => ({ kind: 'set', members: [literal(1)] }),
  () => ({ kind: 'set', members: [literal(1), literal(2)] }),
  () => ({ kind: 'record', members: new Map() }),
  () => ({ kind: 'record', members: new Map([['a', literal(1)]]) }),
  () => ({ kind: 'record', members: new Map([['b', literal(1)]]) }),
  () => ({ kind: 'call', name: 'ip', operands: [literal('10.0.0.1')] }),
  () => ({ kind: 'call', name: 'decimal', operands: [literal('10.0.0.1')] }),
  () => ({ kind: 'call', name: 'isInRange', operands: [literal(1), literal(2)] }),
]

test('expressions that are written the same are one closure', () => {
  const compiler = new ExpressionCompiler()
  for (const make of different) assert.equal(compiler.compile(make()), compiler.compile(make()))
})

test('expressions that are written differently are not', () => {
  const compiler = new ExpressionCompiler()
  const closures = different.map((make) => compiler.compile(make()))
  assert.equal(new Set(closures).size, different.length)
  assert.equal(new Set(different.map((make) => compiler.number(make()))).size, different.length)
})

test('parts stay apart in lists of any length, whatever their numbers', () => {
  const compiler = new ExpressionCompiler()
  const parts = Array.from({ length: 24 }, (_, n) => literal(n))
  for (const part of parts) compiler.number(part)
  const lists = parts.flatMap((one, i) => [
    [one],
    ...parts.slice(0, i).flatMap((other) => [
      [one, other],
      [other, one],
    ]),
  ])
  const set = (members: readonly Expression[]): Expression => ({ kind: 'set', members })
  const record = (members: readonly Expression[]): Expression => ({
    kind: 'record',
    members: new Map(members.map((member, n) => [`${n}`, member])),
  })
  const call = (operands: readonly Expression[]): Expression => ({ kind: 'call', name: 'ip', operands })
  for (const make of [set, record, call]) {
    assert.equal(new Set(lists.map((list) => compiler.number(make(list)))).size, lists.length)
  }
})
