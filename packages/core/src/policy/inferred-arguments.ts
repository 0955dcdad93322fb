/** Which type policies take arguments to have, where the tool does not say: from what they do with them. */

import type { Expression, Policy } from './cedar/expression.ts'
import { partsOf } from './cedar/reads.ts'
import type { ArgumentMember, ArgumentType } from './argument-type.ts'

interface Use {
  readonly members: Map<string, Use>
  /** Of a value that is not looked into. */
  type: ArgumentType | null
}

const string: ArgumentType = { kind: 'string' }
const long: ArgumentType = { kind: 'long' }
const boolean: ArgumentType = { kind: 'boolean' }
const decimal: ArgumentType = { kind: 'decimal' }

/** All members as required: no policy has to ask whether there is one. */
export function inferArguments({ conditions }: Policy): Extract<ArgumentType, { kind: 'record' }> {
  const root: Use = { members: new Map(), type: null }
  for (const { body } of conditions) walk(body, boolean, root)
  return recordOf(root)
}

function recordOf({ members }: Use): Extract<ArgumentType, { kind: 'record' }> {
  const typed = Array.from(members, ([name, use]): [string, ArgumentMember] => {
    return [name, { type: use.members.size > 0 ? recordOf(use) : (use.type ?? string), required: true }]
  })
  return { kind: 'record', members: new Map(typed) }
}

/** The names after `context.args`; null for another expression. */
export function pathOf(expression: Expression): readonly string[] | null {
  if (expression.kind !== 'get') return null
  const { of, name } = expression
  if (of.kind === 'variable') return of.name === 'context' && name === 'args' ? [] : null
  const before = pathOf(of)
  return before === null ? null : [...before, name]
}

/** `expected` is what the place asks for; null where anything will do. */
function walk(expression: Expression, expected: ArgumentType | null, root: Use): void {
  const path = pathOf(expression)
  if (path !== null) return note(path, expected, root)
  if (expression.kind === 'has') {
    const { of, path: names } = expression
    const [first, ...more] = names
    const before = of.kind === 'variable' ? (first === 'args' ? more : null) : pathOf(of)
    if (before !== null) note(of.kind === 'variable' ? before : [...before, ...names], null, root)
    else walk(of, null, root)
    return
  }
  for (const [part, type] of expectations(expression)) walk(part, type, root)
}

function note(path: readonly string[], type: ArgumentType | null, root: Use): void {
  let at = root
  for (const name of path) {
    const next = at.members.get(name) ?? { members: new Map<string, Use>(), type: null }
    at.members.set(name, next)
    at = next
  }
  at.type ??= type
}

/** The parts with what is asked of each. */
function expectations(expression: Expression): readonly (readonly [Expression, ArgumentType | null])[] {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return partsOf(expression).map((part) => [part, boolean])
    case 'unary': {
      const { operator, operand } = expression
      return [[operand, operator === '!' ? boolean : operator === 'neg' ? long : { kind: 'set', of: string }]]
    }
    case 'if':
      return [
        [expression.test, boolean],
        [expression.yes, typeOf(expression.no)],
        [expression.no, typeOf(expression.yes)],
      ]
    case 'like':
      return [[expression.of, string]]
    case 'binary':
      return binaryExpectations(expression)
    case 'call':
      return expression.operands.map((operand, i) => [
        operand,
        comparisons.has(expression.name) || i > 0 ? decimal : string,
      ])
    case 'literal':
    case 'variable':
    case 'get':
    case 'has':
    case 'is':
    case 'set':
    case 'record':
      return partsOf(expression).map((part) => [part, null])
  }
}

const comparisons: ReadonlySet<string> = new Set(['lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual'])

function binaryExpectations({
  operator,
  left,
  right,
}: Extract<Expression, { kind: 'binary' }>): readonly (readonly [Expression, ArgumentType | null])[] {
  switch (operator) {
    case '==':
    case '!=':
      return [
        [left, typeOf(right)],
        [right, typeOf(left)],
      ]
    case 'contains':
      return [
        [left, { kind: 'set', of: typeOf(right) ?? string }],
        [right, elementOf(left)],
      ]
    case 'containsAll':
    case 'containsAny':
      return [
        [left, typeOf(right) ?? { kind: 'set', of: string }],
        [right, typeOf(left) ?? { kind: 'set', of: string }],
      ]
    case 'in':
    case 'getTag':
    case 'hasTag':
      return [
        [left, null],
        [right, string],
      ]
    case '<':
    case '<=':
    case '>':
    case '>=':
    case '+':
    case '-':
    case '*':
      return [
        [left, long],
        [right, long],
      ]
  }
}

function elementOf(expression: Expression): ArgumentType | null {
  const type = typeOf(expression)
  return type?.kind === 'set' ? type.of : null
}

/** Of what is plain to see. */
function typeOf(expression: Expression): ArgumentType | null {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      if (typeof value === 'string') return string
      if (typeof value === 'boolean') return boolean
      return typeof value === 'number' || typeof value === 'bigint' ? long : null
    }
    case 'set': {
      const [first] = expression.members
      const of = first === undefined ? null : typeOf(first)
      return { kind: 'set', of: of ?? string }
    }
    case 'call':
      return expression.name === 'decimal' ? decimal : null
    case 'binary':
      return ['+', '-', '*'].includes(expression.operator) ? long : boolean
    case 'and':
    case 'or':
    case 'has':
    case 'like':
    case 'is':
      return boolean
    case 'variable':
    case 'unary':
    case 'if':
    case 'get':
    case 'record':
      return null
  }
}
