/**
 * What the validator looks at in a policy. Policies of one shape differ in names alone, so that what holds of the types of
 * one holds of all: ten thousand policies made from roles have some ten shapes.
 */

import type { Policy } from '@doorward/core'

type Expression = Policy['conditions'][number]['body']
type Literal = Extract<Expression, { kind: 'literal' }>['value']

/** The validator warns about texts of several scripts; those stay themselves. */
const plain = /^[\u0020-\u007e]*$/

/**
 * Equal for policies that the validator cannot tell apart: texts and entities stand as the place where they come first, so
 * that equal ones stay equal. Actions, attributes, numbers and what functions are given stay themselves.
 */
export function shapeOf({ effect, principal, action, resource, conditions }: Policy): string {
  const names = new Map<string, number>()
  const name = (text: string): string | number => {
    if (!plain.test(text)) return text
    const known = names.get(text) ?? names.size
    names.set(text, known)
    return known
  }
  return JSON.stringify([effect, principal, action, resource, conditions], (_key, value: unknown) =>
    typeof value === 'object' && value !== null ? reduced(value, name) : textOf(value),
  )
}

type Name = (text: string) => string | number

/** Of an expression, a part of a scope, an entity, or a list of those. */
function reduced(part: object, name: Name): unknown {
  if (part instanceof Map) return [...(part as ReadonlyMap<string, Expression>)]
  if ('type' in part && 'id' in part) {
    const { type, id } = part as { readonly type: string; readonly id: string }
    return type === 'Action' || type.endsWith('::Action') ? [type, id] : [type, name(`${type} ${id}`)]
  }
  if (!('kind' in part)) return part
  const expression = part as Expression
  if (expression.kind === 'literal' && typeof expression.value === 'string') return ['text', name(expression.value)]
  // Whatever the pattern, it is a pattern.
  if (expression.kind === 'like') return ['like', expression.of]
  if (expression.kind === 'call') return ['call', expression.name, expression.operands.map(given)]
  return part
}

/** What a function is given decides whether there is a value. */
function given(operand: Expression): unknown {
  return operand.kind === 'literal' && typeof operand.value === 'string' ? ['given', operand.value] : operand
}

function textOf(value: unknown): unknown {
  return typeof value === 'bigint' ? `${value satisfies Literal}n` : value
}
