/** Expressions, scopes and values as Cedar text, for people: what a policy asks, and what it saw. */

import { quote } from './cedar-text.ts'
import { Datetime, Duration } from './cedar/datetime.ts'
import { Decimal } from './cedar/decimal.ts'
import type { Constraint, Expression, PatternPart } from './cedar/expression.ts'
import { CedarSet, EntityUid } from './cedar/value.ts'
import type { Value } from './cedar/value.ts'

/** How tightly the parts of Cedar's grammar bind. */
const level = { if: 0, or: 1, and: 2, relation: 3, sum: 4, product: 5, unary: 6, member: 7 } as const

const constructors: ReadonlySet<string> = new Set(['ip', 'decimal', 'datetime', 'duration'])
const methods: ReadonlySet<string> = new Set(['contains', 'containsAll', 'containsAny', 'getTag', 'hasTag'])
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/
const reserved: ReadonlySet<string> = new Set(['true', 'false', 'if', 'then', 'else', 'in', 'is', 'like', 'has'])

/** Means the same as what was written; spaces and superfluous parentheses are not kept. */
export function expressionText(expression: Expression): string {
  return write(expression, level.if)
}

/** `principal in Role::"reader"`; the name alone where everything fits. */
export function constraintText(slot: 'principal' | 'action' | 'resource', constraint: Constraint): string {
  switch (constraint.kind) {
    case 'any':
      return slot
    case 'equal':
      return `${slot} == ${entityText(constraint.uid)}`
    case 'in': {
      const [only, ...more] = constraint.uids
      if (only !== undefined && more.length === 0) return `${slot} in ${entityText(only)}`
      return `${slot} in [${constraint.uids.map(entityText).join(', ')}]`
    }
    case 'is':
      return `${slot} is ${constraint.type}${constraint.within === null ? '' : ` in ${entityText(constraint.within)}`}`
  }
}

export function entityText({ type, id }: EntityUid): string {
  return `${type}::${quote(id)}`
}

/** As Cedar would write it; an address, of which the text is not kept, by its type alone. */
export function valueText(value: Value): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value !== 'object') return String(value)
  if (value instanceof EntityUid) return entityText(value)
  if (value instanceof CedarSet) return `[${value.members.map(valueText).join(', ')}]`
  if (value instanceof Map) {
    const members = Array.from(value as ReadonlyMap<string, Value>, ([name, one]) => `${key(name)}: ${valueText(one)}`)
    return `{${members.join(', ')}}`
  }
  if (value instanceof Decimal) return `decimal("${decimalText(value)}")`
  if (value instanceof Duration) return `duration("${value.milliseconds}ms")`
  if (value instanceof Datetime) return `datetime("${momentText(value)}")`
  return `(${(value as { readonly typeName: string }).typeName})`
}

function decimalText({ tenThousandths }: Decimal): string {
  const size = tenThousandths < 0n ? -tenThousandths : tenThousandths
  const fraction = String(size % 10_000n)
    .padStart(4, '0')
    .replace(/0{1,3}$/, '')
  return `${tenThousandths < 0n ? '-' : ''}${size / 10_000n}.${fraction}`
}

const MOST_MILLISECONDS = 8_640_000_000_000_000n

function momentText({ milliseconds }: Datetime): string {
  const size = milliseconds < 0n ? -milliseconds : milliseconds
  if (size > MOST_MILLISECONDS) return `${milliseconds} ms since 1970`
  return new Date(Number(milliseconds)).toISOString()
}

function key(name: string): string {
  return identifier.test(name) && !reserved.has(name) ? name : quote(name)
}

function write(expression: Expression, least: number): string {
  const [text, own] = written(expression)
  return own < least ? `(${text})` : text
}

function written(expression: Expression): readonly [text: string, level: number] {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      if (typeof value === 'string') return [quote(value), level.member]
      if (typeof value === 'object') return [entityText(value), level.member]
      return [String(value), typeof value !== 'boolean' && value < 0 ? level.unary : level.member]
    }
    case 'variable':
      return [expression.name, level.member]
    case 'unary':
      return writtenUnary(expression)
    case 'binary':
      return writtenBinary(expression)
    case 'and':
      return [`${write(expression.left, level.and)} && ${write(expression.right, level.relation)}`, level.and]
    case 'or':
      return [`${write(expression.left, level.or)} || ${write(expression.right, level.and)}`, level.or]
    case 'if': {
      const [test, yes, no] = [expression.test, expression.yes, expression.no].map((part) => write(part, level.if))
      return [`if ${test} then ${yes} else ${no}`, level.if]
    }
    case 'get':
    case 'has':
    case 'like':
    case 'is':
      return writtenOf(expression)
    case 'set':
      return [`[${expression.members.map(expressionText).join(', ')}]`, level.member]
    case 'record': {
      const members = Array.from(expression.members, ([name, one]) => `${key(name)}: ${expressionText(one)}`)
      return [`{${members.join(', ')}}`, level.member]
    }
    case 'call':
      return writtenCall(expression)
  }
}

function writtenUnary({ operator, operand }: Extract<Expression, { kind: 'unary' }>): readonly [string, number] {
  if (operator === 'isEmpty') return [`${write(operand, level.member)}.isEmpty()`, level.member]
  // A minus before digits would be read as part of the number.
  const number = operator === 'neg' && operand.kind === 'literal'
  return [
    `${operator === '!' ? '!' : '-'}${number ? `(${expressionText(operand)})` : write(operand, level.member)}`,
    level.unary,
  ]
}

function writtenBinary({ operator, left, right }: Extract<Expression, { kind: 'binary' }>): readonly [string, number] {
  if (methods.has(operator)) return [`${write(left, level.member)}.${operator}(${expressionText(right)})`, level.member]
  const own = operator === '*' ? level.product : operator === '+' || operator === '-' ? level.sum : level.relation
  const first = own === level.relation ? level.sum : own
  return [`${write(left, first)} ${operator} ${write(right, own + 1)}`, own]
}

function writtenOf(
  expression: Extract<Expression, { kind: 'get' | 'has' | 'like' | 'is' }>,
): readonly [string, number] {
  if (expression.kind === 'get') {
    const of = write(expression.of, level.member)
    const plain = identifier.test(expression.name) && !reserved.has(expression.name)
    return [plain ? `${of}.${expression.name}` : `${of}[${quote(expression.name)}]`, level.member]
  }
  const of = write(expression.of, level.sum)
  if (expression.kind === 'like') return [`${of} like ${patternText(expression.pattern)}`, level.relation]
  if (expression.kind === 'has') return [`${of} has ${expression.path.map(key).join('.')}`, level.relation]
  const within = expression.within === null ? '' : ` in ${write(expression.within, level.sum)}`
  return [`${of} is ${expression.type}${within}`, level.relation]
}

function writtenCall({ name, operands }: Extract<Expression, { kind: 'call' }>): readonly [string, number] {
  const [first, ...more] = operands
  if (constructors.has(name) || first === undefined)
    return [`${name}(${operands.map(expressionText).join(', ')})`, level.member]
  return [`${write(first, level.member)}.${name}(${more.map(expressionText).join(', ')})`, level.member]
}

function patternText(pattern: readonly PatternPart[]): string {
  const parts = pattern.map((part) => (part === null ? '*' : quote(part).slice(1, -1).replaceAll('*', '\\*')))
  return `"${parts.join('')}"`
}
