/** Expressions and policies as Cedar text, every part in parentheses, so that it is read as what it is. */

import type {
  Constraint,
  Expression,
  FunctionName,
  PatternPart,
  Policy,
} from '../../packages/core/src/policy/cedar/expression.ts'
import type { EntityUid } from '../../packages/core/src/policy/cedar/value.ts'

/** Functions that are written before their arguments; the others are methods of the first. */
export const constructors: ReadonlySet<FunctionName> = new Set(['decimal', 'ip', 'datetime', 'duration'])

const methods: ReadonlySet<string> = new Set(['contains', 'containsAll', 'containsAny', 'getTag', 'hasTag'])

export function quoted(text: string): string {
  const escaped = Array.from(text, (one) => {
    if (one === '"' || one === '\\') return `\\${one}`
    return one < ' ' ? `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}` : one
  })
  return `"${escaped.join('')}"`
}

export function uidText({ type, id }: EntityUid): string {
  return `${type}::${quoted(id)}`
}

function patternText(pattern: readonly PatternPart[]): string {
  const parts = pattern.map((part) => (part === null ? '*' : quoted(part).slice(1, -1).replaceAll('*', '\\*')))
  return `"${parts.join('')}"`
}

export function expressionText(expression: Expression): string {
  const inner = expressionText
  switch (expression.kind) {
    case 'literal':
      return literalText(expression.value)
    case 'variable':
      return expression.name
    case 'unary': {
      const { operator, operand } = expression
      if (operator === 'isEmpty') return `(${inner(operand)}).isEmpty()`
      return operator === '!' ? `!(${inner(operand)})` : `-(${inner(operand)})`
    }
    case 'binary': {
      const { operator, left, right } = expression
      if (methods.has(operator)) return `(${inner(left)}).${operator}(${inner(right)})`
      return `((${inner(left)}) ${operator} (${inner(right)}))`
    }
    case 'and':
    case 'or':
      return `((${inner(expression.left)}) ${expression.kind === 'and' ? '&&' : '||'} (${inner(expression.right)}))`
    case 'if':
      return `(if (${inner(expression.test)}) then (${inner(expression.yes)}) else (${inner(expression.no)}))`
    case 'get':
      return `(${inner(expression.of)})[${quoted(expression.name)}]`
    case 'has': {
      const { of, path } = expression
      return `((${inner(of)}) has ${path.length > 1 ? path.join('.') : quoted(path[0] ?? '')})`
    }
    case 'like':
      return `((${inner(expression.of)}) like ${patternText(expression.pattern)})`
    case 'is': {
      const { of, type, within } = expression
      return `((${inner(of)}) is ${type}${within === null ? '' : ` in (${inner(within)})`})`
    }
    case 'set':
      return `[${expression.members.map(inner).join(', ')}]`
    case 'record':
      return `{${Array.from(expression.members, ([name, member]) => `${quoted(name)}: ${inner(member)}`).join(', ')}}`
    case 'call': {
      const { name, operands } = expression
      const [first, ...more] = operands.map(inner)
      return constructors.has(name)
        ? `${name}(${operands.map(inner).join(', ')})`
        : `(${first}).${name}(${more.join(', ')})`
    }
  }
}

function literalText(value: Extract<Expression, { kind: 'literal' }>['value']): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'object') return uidText(value)
  return typeof value !== 'boolean' && value < 0 ? `(${value})` : String(value)
}

function constraintText(variable: string, constraint: Constraint): string {
  switch (constraint.kind) {
    case 'any':
      return variable
    case 'equal':
      return `${variable} == ${uidText(constraint.uid)}`
    case 'in': {
      const [first] = constraint.uids
      if (variable !== 'action' && first !== undefined) return `${variable} in ${uidText(first)}`
      return `${variable} in [${constraint.uids.map(uidText).join(', ')}]`
    }
    case 'is':
      return `${variable} is ${constraint.type}${constraint.within === null ? '' : ` in ${uidText(constraint.within)}`}`
  }
}

export function policyText({ effect, principal, action, resource, conditions }: Policy): string {
  const scope = [
    constraintText('principal', principal),
    constraintText('action', action),
    constraintText('resource', resource),
  ].join(', ')
  const parts = conditions.map(({ kind, body }) => ` ${kind} { ${expressionText(body)} }`)
  return `${effect}(${scope})${parts.join('')};`
}
