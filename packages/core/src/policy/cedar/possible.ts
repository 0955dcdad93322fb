/**
 * What an expression may turn out to be while parts of the request are not known: three-valued evaluation, with errors
 * as a fourth. What is excluded here happens for no value of the unknown; what is left open need not happen, because two
 * places that look at the same unknown part are judged apart.
 */

import { attribute, binaries, call, hasAttribute, isOfType, matchesPattern, unary } from './operations.ts'
import type { BinaryOperator, Constraint, Expression, FunctionName, Policy } from './expression.ts'
import { EvaluationError } from './evaluation-error.ts'
import { Unfit } from './unfit.ts'
import { CedarSet, EntityUid } from './value.ts'
import type { CedarRecord, Value } from './value.ts'
import { meets } from './scope.ts'
import type { Entities } from './world.ts'

/** Bits: what may come out. */
export const mayBeTrue = 1
export const mayBeFalse = 2
/** A value that is no boolean. */
export const mayBeOther = 4
export const mayFail = 8

const truth = mayBeTrue | mayBeFalse
const anything = truth | mayBeOther

/** Several outcomes, or one that is no value. */
export class Open {
  readonly outcomes: number
  /** What is known of an entity of which the id is not. */
  readonly some: SomeEntity | null

  constructor(outcomes: number, some: SomeEntity | null = null) {
    this.outcomes = outcomes
    this.some = some
  }
}

export interface SomeEntity {
  readonly type: string
  /** Keys of everything above it; null where that is not known. */
  readonly ancestors: ReadonlySet<string> | null
}

export const unknown = new Open(anything)
const failing = new Open(mayFail)

/** An entity of that type; which one is not known. */
export function someEntity(type: string, ancestors: ReadonlySet<string> | null = null): Open {
  return new Open(mayBeOther, { type, ancestors })
}

/** A request of which parts may be `unknown`: variables, and attributes of the context. */
export interface PartialWorld extends Entities {
  readonly principal: EntityUid | Open
  readonly action: EntityUid | Open
  readonly resource: EntityUid | Open
  readonly context: ReadonlyMap<string, Value | Open>
  /** Entities of which nothing is known, not even whether they exist, though a policy names them. None unless told. */
  readonly opaque?: (uid: EntityUid) => boolean
}

type Possible = Value | Open

/** The outcomes of a condition: `mayBeTrue`, `mayBeFalse` and `mayFail`, at least one. */
export function outcomesOf(expression: Expression, world: PartialWorld): number {
  return asOutcomes(possible(expression, world))
}

/** The outcomes of a policy: it applies, it does not, or it fails. One that does not fit does not fail. */
export function outcomesOfPolicy({ principal, action, resource, conditions }: Policy, world: PartialWorld): number {
  let outcomes = conjunction([
    fits(principal, world.principal, world),
    fits(action, world.action, world),
    fits(resource, world.resource, world),
  ])
  for (const { kind, body } of conditions) {
    if ((outcomes & mayBeTrue) === 0) return outcomes
    const holds = outcomesOf(body, world)
    outcomes = (outcomes & ~mayBeTrue) | (kind === 'when' ? holds : negated(holds))
  }
  return outcomes
}

function conjunction(parts: readonly number[]): number {
  if (parts.some((outcomes) => (outcomes & mayBeTrue) === 0)) return mayBeFalse
  return parts.reduce((all, outcomes) => all | outcomes, 0)
}

function fits(constraint: Constraint, uid: EntityUid | Open, world: PartialWorld): number {
  if (constraint.kind === 'any') return mayBeTrue
  if (uid instanceof EntityUid) return outcomeOf(meets(constraint, uid, world))
  const { some } = uid
  if (some === null) return truth
  if (constraint.kind === 'equal') return constraint.uid.type === some.type ? truth : mayBeFalse
  if (constraint.kind === 'in') return someWithin(some, constraint.uids)
  if (constraint.type !== some.type) return mayBeFalse
  return constraint.within === null ? mayBeTrue : someWithin(some, [constraint.within])
}

function someWithin({ type, ancestors }: SomeEntity, above: readonly EntityUid[]): number {
  if (ancestors === null) return truth
  if (above.some(({ key }) => ancestors.has(key))) return mayBeTrue
  // It may be the one that is named.
  return above.some((uid) => uid.type === type) ? truth : mayBeFalse
}

function outcomeOf(value: boolean): number {
  return value ? mayBeTrue : mayBeFalse
}

function asOutcomes(value: Possible): number {
  if (!(value instanceof Open)) return typeof value === 'boolean' ? outcomeOf(value) : mayFail
  return (value.outcomes & (truth | mayFail)) | ((value.outcomes & mayBeOther) === 0 ? 0 : mayFail)
}

function negated(outcomes: number): number {
  return (
    (outcomes & mayFail) |
    ((outcomes & mayBeTrue) === 0 ? 0 : mayBeFalse) |
    ((outcomes & mayBeFalse) === 0 ? 0 : mayBeTrue)
  )
}

/** Whether it may fail to have a value at all. */
function failureOf(value: Possible): number {
  return value instanceof Open ? value.outcomes & mayFail : 0
}

function hasNoValue(value: Possible): boolean {
  return value instanceof Open && value.outcomes === mayFail
}

/** A value where one outcome is certain. */
function settled(outcomes: number): Possible {
  if (outcomes === mayBeTrue) return true
  if (outcomes === mayBeFalse) return false
  return new Open(outcomes)
}

function possible(expression: Expression, world: PartialWorld): Possible {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      return value instanceof EntityUid && world.opaque?.(value) === true ? new Open(mayBeOther) : value
    }
    case 'variable':
      return expression.name === 'context' ? wholeContext(world) : world[expression.name]
    case 'unary': {
      const operand = possible(expression.operand, world)
      if (expression.operator === '!') return settled(negated(asOutcomes(operand)))
      return apply([operand], truthOf(expression.operator), ([value]) => unary(expression.operator, value))
    }
    case 'binary':
      return possibleBinary(expression, world)
    case 'and':
    case 'or':
      return possibleLogic(expression, world)
    case 'if':
      return possibleIf(expression, world)
    case 'get':
      return possibleGet(expression, world)
    case 'has':
      return possibleHas(expression, world)
    case 'like':
      return apply([possible(expression.of, world)], truth | mayFail, ([of]) => matchesPattern(of, expression.pattern))
    case 'is':
      return possibleIs(expression, world)
    case 'set':
      return possibleSet(expression.members, world)
    case 'record':
      return possibleRecord(expression.members, world)
    case 'call':
      return apply(
        expression.operands.map((operand) => possible(operand, world)),
        functionOutcomes(expression.name),
        (operands) => call(expression.name, operands),
      )
  }
}

function truthOf(operator: '!' | 'neg' | 'isEmpty'): number {
  return operator === 'neg' ? mayBeOther | mayFail : truth | mayFail
}

const truthFunctions: ReadonlySet<FunctionName> = new Set([
  'lessThan',
  'lessThanOrEqual',
  'greaterThan',
  'greaterThanOrEqual',
  'isIpv4',
  'isIpv6',
  'isLoopback',
  'isMulticast',
  'isInRange',
])

function functionOutcomes(name: FunctionName): number {
  return (truthFunctions.has(name) ? truth : mayBeOther) | mayFail
}

/** All known: the value. One without a value: none. Otherwise what may come out. */
function apply(
  operands: readonly Possible[],
  outcomes: number,
  known: (values: readonly [Value, ...Value[]]) => Value,
): Possible {
  if (operands.some(hasNoValue)) return failing
  const values = operands.filter((operand): operand is Value => !(operand instanceof Open))
  if (values.length < operands.length) return new Open(outcomes)
  return attempt(() => known(values as [Value, ...Value[]]))
}

function attempt(evaluate: () => Value): Possible {
  try {
    return evaluate()
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return failing
  }
}

function wholeContext({ context }: PartialWorld): Possible {
  for (const value of context.values()) if (value instanceof Open) return new Open(mayBeOther)
  return context as CedarRecord
}

function possibleBinary(expression: Extract<Expression, { kind: 'binary' }>, world: PartialWorld): Possible {
  const { operator } = expression
  const operands = [possible(expression.left, world), possible(expression.right, world)] as const
  const [left] = operands
  if (operator === 'in' && left instanceof Open && left.some !== null) {
    const above = entitiesIn(operands[1])
    if (above !== null) return settled(someWithin(left.some, above))
  }
  const failure = operands.reduce((all: number, operand) => all | failureOf(operand), 0)
  return apply(operands, binaryOutcomes[operator] | failure, ([left, right]) =>
    binaries[operator](left, right as Value, world),
  )
}

/** An entity or a set of entities; null for anything else. */
function entitiesIn(value: Possible): readonly EntityUid[] | null {
  if (value instanceof EntityUid) return [value]
  if (!(value instanceof CedarSet)) return null
  const entities = value.members.filter((member) => member instanceof EntityUid)
  return entities.length === value.members.length ? entities : null
}

/** Besides a failure of an operand. */
const binaryOutcomes: Readonly<Record<BinaryOperator, number>> = {
  '==': truth,
  '!=': truth,
  in: truth | mayFail,
  '<': truth | mayFail,
  '<=': truth | mayFail,
  '>': truth | mayFail,
  '>=': truth | mayFail,
  '+': mayBeOther | mayFail,
  '-': mayBeOther | mayFail,
  '*': mayBeOther | mayFail,
  contains: truth | mayFail,
  containsAll: truth | mayFail,
  containsAny: truth | mayFail,
  getTag: anything | mayFail,
  hasTag: truth | mayFail,
}

function possibleLogic(
  { kind, left, right }: Extract<Expression, { kind: 'and' | 'or' }>,
  world: PartialWorld,
): Possible {
  const first = outcomesOf(left, world)
  const [going, ending] = kind === 'and' ? [mayBeTrue, mayBeFalse] : [mayBeFalse, mayBeTrue]
  if ((first & going) === 0) return settled(first)
  return settled((first & (mayFail | ending)) | outcomesOf(right, world))
}

function possibleIf({ test, yes, no }: Extract<Expression, { kind: 'if' }>, world: PartialWorld): Possible {
  const outcomes = outcomesOf(test, world)
  if (outcomes === mayBeTrue) return possible(yes, world)
  if (outcomes === mayBeFalse) return possible(no, world)
  const branches = [
    outcomes & mayFail,
    (outcomes & mayBeTrue) === 0 ? 0 : outcomesOfValue(possible(yes, world)),
    (outcomes & mayBeFalse) === 0 ? 0 : outcomesOfValue(possible(no, world)),
  ]
  return new Open(branches.reduce((all, one) => all | one, 0))
}

function outcomesOfValue(value: Possible): number {
  if (value instanceof Open) return value.outcomes
  return typeof value === 'boolean' ? outcomeOf(value) : mayBeOther
}

function isContext(expression: Expression): boolean {
  return expression.kind === 'variable' && expression.name === 'context'
}

function possibleGet({ of, name }: Extract<Expression, { kind: 'get' }>, world: PartialWorld): Possible {
  if (isContext(of)) {
    const value = world.context.get(name)
    return value === undefined || value instanceof Unfit ? failing : value
  }
  return apply([possible(of, world)], anything | mayFail, ([value]) => attribute(value, name, world))
}

/** `a has b.c` is `a has b && a.b has c`. */
function possibleHas({ of, path }: Extract<Expression, { kind: 'has' }>, world: PartialWorld): Possible {
  const [first, ...more] = path
  if (first === undefined) return failing
  if (!isContext(of)) return possiblePath(possible(of, world), path, world)
  const value = world.context.get(first)
  if (value === undefined) return false
  return more.length === 0 ? true : possiblePath(value, more, world)
}

function possiblePath(of: Possible, path: readonly string[], world: PartialWorld): Possible {
  let at = of
  for (const [i, name] of path.entries()) {
    if (at instanceof Open) return hasNoValue(at) ? failing : new Open(truth | mayFail)
    const value = at
    const found = attempt(() => hasAttribute(value, name, world))
    if (found !== true || i === path.length - 1) return found
    at = attempt(() => attribute(value, name, world))
  }
  return true
}

/** `a is T in b` is `a is T && a in b`. */
function possibleIs({ of, type, within }: Extract<Expression, { kind: 'is' }>, world: PartialWorld): Possible {
  const value = possible(of, world)
  const fits =
    value instanceof Open && value.some !== null
      ? value.some.type === type
      : apply([value], truth | mayFail, ([uid]) => isOfType(uid, type))
  if (within === null) return fits
  const first = asOutcomes(fits)
  if ((first & mayBeTrue) === 0) return settled(first)
  const inside = apply([value, possible(within, world)], truth | mayFail, ([uid, above]) =>
    binaries.in(uid, above as Value, world),
  )
  return settled((first & ~mayBeTrue) | asOutcomes(inside))
}

function possibleSet(members: readonly Expression[], world: PartialWorld): Possible {
  const values = members.map((member) => possible(member, world))
  const failure = values.reduce((all: number, value) => all | failureOf(value), 0)
  if (values.length === 0) return new CedarSet([])
  return apply(values, mayBeOther | failure, (known) => new CedarSet(known))
}

function possibleRecord(members: ReadonlyMap<string, Expression>, world: PartialWorld): Possible {
  const names = [...members.keys()]
  const values = [...members.values()].map((member) => possible(member, world))
  const failure = values.reduce((all: number, value) => all | failureOf(value), 0)
  if (values.length === 0) return new Map()
  return apply(values, mayBeOther | failure, (known) => new Map(known.map((value, i) => [names[i] ?? '', value])))
}
