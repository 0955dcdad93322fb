/** What operators and functions do with values. All throw `EvaluationError` where Cedar has no value. */

import { Datetime, Duration } from './datetime.ts'
import { Decimal } from './decimal.ts'
import { functions } from './expression.ts'
import type { BinaryOperator, FunctionName, PatternPart, UnaryOperator } from './expression.ts'
import { IpAddress } from './ip-address.ts'
import { EvaluationError } from './evaluation-error.ts'
import { Unfit } from './unfit.ts'
import { CedarSet, EntityUid, equal, isLong, longOf, typeName } from './value.ts'
import type { CedarRecord, Long, Value } from './value.ts'
import { isWithin } from './world.ts'
import type { Entities } from './world.ts'

function wrongType(expected: string, got: Value): EvaluationError {
  return new EvaluationError(`type error: expected ${expected}, got ${typeName(got)}`)
}

export function asBoolean(value: Value): boolean {
  if (typeof value === 'boolean') return value
  throw wrongType('bool', value)
}

function asLong(value: Value): Long {
  if (isLong(value)) return value
  throw wrongType('long', value)
}

function asString(value: Value): string {
  if (typeof value === 'string') return value
  throw wrongType('string', value)
}

function asSet(value: Value): CedarSet {
  if (value instanceof CedarSet) return value
  throw wrongType('set', value)
}

export function asEntity(value: Value): EntityUid {
  if (value instanceof EntityUid) return value
  throw wrongType('an entity', value)
}

export function unary(operator: UnaryOperator, operand: Value): Value {
  switch (operator) {
    case '!':
      return !asBoolean(operand)
    case 'neg': {
      const long = asLong(operand)
      return typeof long === 'number' ? 0 - long : longOf(-long)
    }
    case 'isEmpty':
      return asSet(operand).members.length === 0
  }
}

export function binary(operator: BinaryOperator, left: Value, right: Value, world: Entities): Value {
  switch (operator) {
    case '==':
      return equal(left, right)
    case '!=':
      return !equal(left, right)
    case 'in':
      return within(left, right, world)
    case '<':
      return compare(left, right) < 0
    case '<=':
      return compare(left, right) <= 0
    case '>':
      return compare(left, right) > 0
    case '>=':
      return compare(left, right) >= 0
    case '+':
    case '-':
    case '*':
      return calculate(operator, asLong(left), asLong(right))
    case 'contains':
      return asSet(left).has(right)
    case 'containsAll':
      return asSet(left).hasAll(asSet(right))
    case 'containsAny':
      return asSet(left).hasAny(asSet(right))
    case 'hasTag': {
      const uid = asEntity(left)
      const tag = asString(right)
      return world.entity(uid)?.tags.has(tag) === true
    }
    case 'getTag': {
      const uid = asEntity(left)
      const tag = asString(right)
      return found(existing(uid, world).tags.get(tag), 'tag')
    }
  }
}

function within(left: Value, right: Value, world: Entities): boolean {
  const uid = asEntity(left)
  if (right instanceof EntityUid) return isWithin(world, uid, right)
  if (!(right instanceof CedarSet)) throw wrongType('an entity or a set of entities', right)
  return right.members.map(asEntity).some((above) => isWithin(world, uid, above))
}

/** Negative, 0 or positive. */
function compare(left: Value, right: Value): number {
  if (isLong(left)) return order(left, asLong(right))
  if (left instanceof Datetime) {
    if (right instanceof Datetime) return order(left.milliseconds, right.milliseconds)
    throw wrongType('datetime', right)
  }
  if (left instanceof Duration) {
    if (right instanceof Duration) return order(left.milliseconds, right.milliseconds)
    throw wrongType('duration', right)
  }
  throw wrongType('long, datetime or duration', left)
}

function order(a: Long, b: Long): number {
  if (a < b) return -1
  return a > b ? 1 : 0
}

function calculate(operator: '+' | '-' | '*', a: Long, b: Long): Long {
  if (typeof a === 'number' && typeof b === 'number') {
    // What is a safe integer after rounding was exact. Adding zero makes of a negative one the only zero there is.
    const result = (operator === '+' ? a + b : operator === '-' ? a - b : a * b) + 0
    if (Number.isSafeInteger(result)) return result
  }
  const [x, y] = [BigInt(a), BigInt(b)]
  return longOf(operator === '+' ? x + y : operator === '-' ? x - y : x * y)
}

export function attribute(of: Value, name: string, world: Entities): Value {
  if (of instanceof EntityUid) return found(existing(of, world).attributes.get(name), 'attribute')
  if (of instanceof Map) return found((of as CedarRecord).get(name), 'attribute')
  throw wrongType('a record or an entity', of)
}

export function hasAttribute(of: Value, name: string, world: Entities): boolean {
  if (of instanceof EntityUid) return world.entity(of)?.attributes.has(name) === true
  if (of instanceof Map) return (of as CedarRecord).has(name)
  throw wrongType('a record or an entity', of)
}

function existing(uid: EntityUid, world: Entities) {
  const entity = world.entity(uid)
  if (entity === null) throw new EvaluationError('the entity does not exist')
  return entity
}

/** Throws where there is none, and where it is unfit. */
export function found(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new EvaluationError(`there is no such ${what}`)
  if (value instanceof Unfit) throw new EvaluationError(`the ${what} is ${value.typeName}, which no policy can judge`)
  return value
}

export function isOfType(of: Value, type: string): boolean {
  return asEntity(of).type === type
}

/** Greedy from the left with one way back: at worst as many steps as the text times the pattern. */
export function matchesPattern(of: Value, pattern: readonly PatternPart[]): boolean {
  const text = asString(of)
  let at = 0
  let part = 0
  let wildcard = -1
  let retry = 0
  while (part < pattern.length || at < text.length) {
    const wanted = pattern[part]
    if (wanted === null) {
      wildcard = part++
      retry = at
    } else if (wanted !== undefined && text.startsWith(wanted, at)) {
      at += wanted.length
      part++
    } else if (wildcard >= 0 && retry < text.length) {
      part = wildcard + 1
      at = ++retry
    } else return false
  }
  return true
}

export function call(name: FunctionName, operands: readonly Value[]): Value {
  if (operands.length !== functions[name]) throw new EvaluationError(`${name} takes ${functions[name]} arguments`)
  const [first, second] = operands as readonly [Value, Value]
  switch (name) {
    case 'decimal':
      return Decimal.parse(asString(first))
    case 'lessThan':
      return compareDecimals(first, second) < 0
    case 'lessThanOrEqual':
      return compareDecimals(first, second) <= 0
    case 'greaterThan':
      return compareDecimals(first, second) > 0
    case 'greaterThanOrEqual':
      return compareDecimals(first, second) >= 0
    case 'ip':
      return IpAddress.parse(asString(first))
    case 'isIpv4':
      return asIp(first).isIpv4()
    case 'isIpv6':
      return !asIp(first).isIpv4()
    case 'isLoopback':
      return asIp(first).isLoopback()
    case 'isMulticast':
      return asIp(first).isMulticast()
    case 'isInRange': {
      const address = asIp(first)
      return address.isInRange(asIp(second))
    }
    case 'datetime':
      return Datetime.parse(asString(first))
    case 'offset': {
      const moment = asDatetime(first)
      return moment.offset(asDuration(second))
    }
    case 'durationSince': {
      const moment = asDatetime(first)
      return moment.durationSince(asDatetime(second))
    }
    case 'toDate':
      return asDatetime(first).toDate()
    case 'toTime':
      return asDatetime(first).toTime()
    case 'duration':
      return Duration.parse(asString(first))
    case 'toMilliseconds':
      return longOf(asDuration(first).in('milliseconds'))
    case 'toSeconds':
      return longOf(asDuration(first).in('seconds'))
    case 'toMinutes':
      return longOf(asDuration(first).in('minutes'))
    case 'toHours':
      return longOf(asDuration(first).in('hours'))
    case 'toDays':
      return longOf(asDuration(first).in('days'))
  }
}

function compareDecimals(left: Value, right: Value): number {
  if (!(left instanceof Decimal)) throw wrongType('decimal', left)
  if (!(right instanceof Decimal)) throw wrongType('decimal', right)
  return order(left.tenThousandths, right.tenThousandths)
}

function asIp(value: Value): IpAddress {
  if (value instanceof IpAddress) return value
  throw wrongType('ipaddr', value)
}

function asDatetime(value: Value): Datetime {
  if (value instanceof Datetime) return value
  throw wrongType('datetime', value)
}

function asDuration(value: Value): Duration {
  if (value instanceof Duration) return value
  throw wrongType('duration', value)
}
