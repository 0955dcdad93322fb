/**
 * Expressions and policies as Cedar's JSON format spells them (Cedar reference, JSON policy format), read strictly: what
 * is not known here is refused, so that nothing is evaluated as something else than was written.
 */

import { DoorwardError } from '../../error.ts'
import { EntityUid, longOf } from './value.ts'
import type { Long } from './value.ts'

export type Variable = 'principal' | 'action' | 'resource' | 'context'

export type UnaryOperator = '!' | 'neg' | 'isEmpty'

export const binaryOperators = [
  '==',
  '!=',
  'in',
  '<',
  '<=',
  '>',
  '>=',
  '+',
  '-',
  '*',
  'contains',
  'containsAll',
  'containsAny',
  'getTag',
  'hasTag',
] as const
export type BinaryOperator = (typeof binaryOperators)[number]

/** Functions and methods of extension types, with the number of arguments that they have a value for. */
export const functions = {
  decimal: 1,
  lessThan: 2,
  lessThanOrEqual: 2,
  greaterThan: 2,
  greaterThanOrEqual: 2,
  ip: 1,
  isIpv4: 1,
  isIpv6: 1,
  isLoopback: 1,
  isMulticast: 1,
  isInRange: 2,
  datetime: 1,
  offset: 2,
  durationSince: 2,
  toDate: 1,
  toTime: 1,
  duration: 1,
  toMilliseconds: 1,
  toSeconds: 1,
  toMinutes: 1,
  toHours: 1,
  toDays: 1,
} as const
export type FunctionName = keyof typeof functions

/** A part of a pattern for `like`: text as it stands, or any number of characters. */
export type PatternPart = string | null

export type Expression =
  | { readonly kind: 'literal'; readonly value: boolean | Long | string | EntityUid }
  | { readonly kind: 'variable'; readonly name: Variable }
  | { readonly kind: 'unary'; readonly operator: UnaryOperator; readonly operand: Expression }
  | {
      readonly kind: 'binary'
      readonly operator: BinaryOperator
      readonly left: Expression
      readonly right: Expression
    }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'if'; readonly test: Expression; readonly yes: Expression; readonly no: Expression }
  | { readonly kind: 'get'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'has'; readonly of: Expression; readonly path: readonly string[] }
  | { readonly kind: 'like'; readonly of: Expression; readonly pattern: readonly PatternPart[] }
  | { readonly kind: 'is'; readonly of: Expression; readonly type: string; readonly within: Expression | null }
  | { readonly kind: 'set'; readonly members: readonly Expression[] }
  | { readonly kind: 'record'; readonly members: ReadonlyMap<string, Expression> }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly operands: readonly Expression[] }

/** What a scope demands of one of the three. */
export type Constraint =
  | { readonly kind: 'any' }
  | { readonly kind: 'equal'; readonly uid: EntityUid }
  | { readonly kind: 'in'; readonly uids: readonly EntityUid[] }
  | { readonly kind: 'is'; readonly type: string; readonly within: EntityUid | null }

export interface Policy {
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  readonly principal: Constraint
  readonly action: Constraint
  readonly resource: Constraint
  readonly conditions: readonly { readonly kind: 'when' | 'unless'; readonly body: Expression }[]
  readonly annotations: ReadonlyMap<string, string>
}

/** Nesting that closures can be called through without running out of stack. */
const MAX_DEPTH = 500

type Json = unknown
type JsonRecord = Readonly<Record<string, Json>>

/** Reads one static policy. Throws `policy_unreadable`. */
export function readPolicy(id: string, json: Json): Policy {
  const policy = record(json, 'a policy')
  const { effect, principal, action, resource, conditions, annotations } = policy
  if (effect !== 'permit' && effect !== 'forbid') throw unreadable('permit or forbid', effect)
  const notes = annotations === undefined ? {} : record(annotations, 'annotations')
  return {
    id,
    effect,
    principal: readConstraint(principal),
    action: readConstraint(action),
    resource: readConstraint(resource),
    conditions: list(conditions, 'conditions').map(readCondition),
    annotations: new Map(Object.entries(notes).map(([name, note]) => [name, typeof note === 'string' ? note : ''])),
  }
}

function readCondition(json: Json): Policy['conditions'][number] {
  const { kind, body } = record(json, 'a condition')
  if (kind !== 'when' && kind !== 'unless') throw unreadable('when or unless', kind)
  return { kind, body: readExpression(body, 0) }
}

function readConstraint(json: Json): Constraint {
  const { op, entity, entities, entity_type, in: within } = record(json, 'a constraint of the scope')
  switch (op) {
    case 'All':
      return { kind: 'any' }
    case '==':
      return { kind: 'equal', uid: readUid(entity) }
    case 'in':
      return { kind: 'in', uids: entities === undefined ? [readUid(entity)] : list(entities, 'entities').map(readUid) }
    case 'is':
      return {
        kind: 'is',
        type: text(entity_type, 'an entity type'),
        within: within === undefined ? null : readUid(record(within, 'an entity')['entity']),
      }
    default:
      throw unreadable('All, ==, in or is', op)
  }
}

function readUid(json: Json): EntityUid {
  const { type, id } = record(json, 'an entity')
  return new EntityUid(text(type, 'an entity type'), text(id, 'an entity id'))
}

/** Throws `policy_unreadable`. */
export function readExpression(json: Json, depth: number): Expression {
  if (depth > MAX_DEPTH) throw unreadable(`at most ${MAX_DEPTH} nested expressions`, 'more')
  const entries = Object.entries(record(json, 'an expression'))
  const [first] = entries
  if (first === undefined || entries.length !== 1)
    throw unreadable(
      'one operator',
      entries.map(([name]) => name),
    )
  const [operator, body] = first
  const inner = (part: Json): Expression => readExpression(part, depth + 1)
  switch (operator) {
    case 'Value':
      return readValue(body, depth)
    case 'Var':
      if (body !== 'principal' && body !== 'action' && body !== 'resource' && body !== 'context')
        throw unreadable('a variable', body)
      return { kind: 'variable', name: body }
    case '!':
    case 'neg':
    case 'isEmpty':
      return { kind: 'unary', operator, operand: inner(record(body, operator)['arg']) }
    case '&&':
    case '||': {
      const { left, right } = record(body, operator)
      return { kind: operator === '&&' ? 'and' : 'or', left: inner(left), right: inner(right) }
    }
    case 'Set':
      return { kind: 'set', members: list(body, 'a set').map(inner) }
    case 'Record':
      return {
        kind: 'record',
        members: new Map(Object.entries(record(body, 'a record')).map(([name, part]) => [name, inner(part)])),
      }
    default:
      return isBinary(operator)
        ? {
            kind: 'binary',
            operator,
            left: inner(record(body, operator)['left']),
            right: inner(record(body, operator)['right']),
          }
        : (readMixed(operator, body, inner) ?? readCall(operator, body, inner))
  }
}

/** What has parts that are no expressions; null for another operator. */
function readMixed(operator: string, body: Json, inner: (part: Json) => Expression): Expression | null {
  switch (operator) {
    case 'if-then-else': {
      const { if: test, then: yes, else: no } = record(body, operator)
      return { kind: 'if', test: inner(test), yes: inner(yes), no: inner(no) }
    }
    case '.': {
      const { left, attr } = record(body, operator)
      return { kind: 'get', of: inner(left), name: text(attr, 'an attribute') }
    }
    case 'has': {
      const { left, attr } = record(body, operator)
      const path = typeof attr === 'string' ? [attr] : list(attr, 'attributes').map((one) => text(one, 'an attribute'))
      return { kind: 'has', of: inner(left), path }
    }
    case 'like': {
      const { left, pattern } = record(body, operator)
      return { kind: 'like', of: inner(left), pattern: list(pattern, 'a pattern').map(readPart) }
    }
    case 'is': {
      const { left, entity_type, in: within } = record(body, operator)
      const type = text(entity_type, 'an entity type')
      return { kind: 'is', of: inner(left), type, within: within === undefined ? null : inner(within) }
    }
    default:
      return null
  }
}

function readCall(name: string, body: Json, inner: (part: Json) => Expression): Expression {
  if (!isFunction(name)) throw unreadable('a known operator or function', name)
  const operands = list(body, `the arguments of ${name}`).map(inner)
  return { kind: 'call', name, operands }
}

/** Besides literals a value may be a set or a record of values, or an extension value. */
function readValue(json: Json, depth: number): Expression {
  if (depth > MAX_DEPTH) throw unreadable(`at most ${MAX_DEPTH} nested expressions`, 'more')
  if (typeof json === 'boolean' || typeof json === 'string') return { kind: 'literal', value: json }
  if (typeof json === 'bigint') return { kind: 'literal', value: longOf(json) }
  if (typeof json === 'number') {
    if (!Number.isSafeInteger(json)) throw unreadable('a long that is exact', json)
    return { kind: 'literal', value: json }
  }
  if (Array.isArray(json)) return { kind: 'set', members: json.map((one) => readValue(one, depth + 1)) }
  const members = record(json, 'a value')
  if ('__entity' in members) return { kind: 'literal', value: readUid(members['__entity']) }
  if ('__extn' in members) {
    const { fn, arg, args } = record(members['__extn'], 'an extension value')
    return readCall(text(fn, 'a function'), args ?? [arg], (one) => readValue(one, depth + 1))
  }
  return {
    kind: 'record',
    members: new Map(Object.entries(members).map(([name, one]) => [name, readValue(one, depth + 1)])),
  }
}

function readPart(json: Json): PatternPart {
  if (json === 'Wildcard') return null
  return text(record(json, 'a part of a pattern')['Literal'], 'literal text')
}

function isBinary(name: string): name is BinaryOperator {
  return (binaryOperators as readonly string[]).includes(name)
}

function isFunction(name: string): name is FunctionName {
  return Object.hasOwn(functions, name)
}

function record(json: Json, what: string): JsonRecord {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw unreadable(what, json)
  return json as JsonRecord
}

function list(json: Json, what: string): readonly Json[] {
  if (!Array.isArray(json)) throw unreadable(what, json)
  return json
}

function text(json: Json, what: string): string {
  if (typeof json !== 'string') throw unreadable(what, json)
  return json
}

function unreadable(expected: string, got: Json): DoorwardError {
  return new DoorwardError('policy_unreadable', 'the policy cannot be read', {
    expected,
    got: String(got).slice(0, 100),
  })
}
