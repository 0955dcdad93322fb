/** Compiled expressions: what is made once, and when a mistake shows. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileExpression } from '../../../packages/core/src/policy/cedar/compile-expression.ts'
import { EvaluationError } from '../../../packages/core/src/policy/cedar/evaluation-error.ts'
import type { Expression } from '../../../packages/core/src/policy/cedar/expression.ts'
import { CedarSet, EntityUid } from '../../../packages/core/src/policy/cedar/value.ts'
import type { Value } from '../../../packages/core/src/policy/cedar/value.ts'
import type { World } from '../../../packages/core/src/policy/cedar/world.ts'

const uid = new EntityUid('T', 'a')
const worldOf = (n: Value): World => ({
  principal: uid,
  action: uid,
  resource: uid,
  context: new Map([['n', n]]),
  entity: () => null,
})
const literal = (value: string | number): Expression => ({ kind: 'literal', value })
const set = (...members: readonly Expression[]): Expression => ({ kind: 'set', members })
const ip = (operand: Expression): Expression => ({ kind: 'call', name: 'ip', operands: [operand] })
const n: Expression = { kind: 'get', of: { kind: 'variable', name: 'context' }, name: 'n' }

test('a set of literals is made once, any other for each call', () => {
  for (const [expression, members] of [
    [set(), []],
    [set(literal(1), literal('a'), literal(1)), [1, 'a']],
  ] as const) {
    const evaluate = compileExpression(expression)
    const made = evaluate(worldOf(1))
    assert(made instanceof CedarSet)
    assert.deepEqual(made.members, members)
    assert.equal(evaluate(worldOf(2)), made)
  }
  const mixed = compileExpression(set(literal(1), n))
  assert.deepEqual((mixed(worldOf(2)) as CedarSet).members, [1, 2])
  assert.deepEqual((mixed(worldOf(3)) as CedarSet).members, [1, 3])
})

test('an extension value of a literal is made once, any other for each call', () => {
  const evaluate = compileExpression(ip(literal('10.0.0.1')))
  assert.equal(evaluate(worldOf(1)), evaluate(worldOf(2)))
  const other = compileExpression(ip(n))
  const [one, two] = [other(worldOf('10.0.0.1')), other(worldOf('10.0.0.2'))] as const
  assert.deepEqual([compileExpression(ip(literal('10.0.0.1')))(worldOf(1)), one === two], [one, false])
})

test('a literal that is no extension value fails in each call, and not before', () => {
  const evaluate = compileExpression(ip(literal('none')))
  for (const _ of [1, 2]) assert.throws(() => evaluate(worldOf(1)), EvaluationError)
})

test('has without an attribute is nothing that can be compiled', () => {
  assert.throws(() => compileExpression({ kind: 'has', of: n, path: [] }), TypeError)
})
