/** What an expression says, as a text: two that are written the same have the same one. */

import type { Expression } from './expression.ts'
import { EntityUid } from './value.ts'

/** `numberOf`: of a part, the same exactly for parts that have the same key. */
export function expressionKey(expression: Expression, numberOf: (part: Expression) => number): string {
  switch (expression.kind) {
    case 'literal':
      return literalKey(expression.value)
    case 'variable':
      return `variable ${expression.name}`
    case 'unary':
      return `${expression.operator} ${numberOf(expression.operand)}`
    case 'binary':
      return `${expression.operator} ${numberOf(expression.left)} ${numberOf(expression.right)}`
    case 'and':
    case 'or':
      return `${expression.kind} ${numberOf(expression.left)} ${numberOf(expression.right)}`
    case 'if':
      return `if ${numberOf(expression.test)} ${numberOf(expression.yes)} ${numberOf(expression.no)}`
    case 'get':
      return `get ${numberOf(expression.of)} ${JSON.stringify(expression.name)}`
    case 'has':
      return `has ${numberOf(expression.of)} ${JSON.stringify(expression.path)}`
    case 'like':
      return `like ${numberOf(expression.of)} ${JSON.stringify(expression.pattern)}`
    case 'is': {
      const within = expression.within === null ? '' : numberOf(expression.within)
      return `is ${numberOf(expression.of)} ${JSON.stringify(expression.type)} ${within}`
    }
    case 'set':
      return `set ${expression.members.map(numberOf).join(' ')}`
    case 'record': {
      const members = [...expression.members].map(([name, member]) => `${JSON.stringify(name)} ${numberOf(member)}`)
      return `record ${members.join(' ')}`
    }
    case 'call':
      return `call ${expression.name} ${expression.operands.map(numberOf).join(' ')}`
  }
}

function literalKey(value: Extract<Expression, { kind: 'literal' }>['value']): string {
  if (value instanceof EntityUid) return `entity ${JSON.stringify([value.type, value.id])}`
  return typeof value === 'string' ? `string ${JSON.stringify(value)}` : `${typeof value} ${value}`
}
