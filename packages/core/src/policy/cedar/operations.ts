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

type Binary = (left: Value, right: Value, world: Entities) => Value

export const binaries: Readonly<Record<BinaryOperator, Binary>> = {
  '==': equal,
  '!=': (left, right) => !equal(left, right),
  in: within,
  '<': (left, right) => compare(left, right) < 0,
  '<=': (left, right) => compare(left, right) <= 0,
  '>': (left, right) => compare(left, right) > 0,
  '>=': (left, right) => compare(left, right) >= 0,
  '+': (left, right) => calculate('+', asLong(left), asLong(right)),
  '-': (left, right) => calculate('-', asLong(left), asLong(right)),
  '*': (left, right) => calculate('*', asLong(left), asLong(right)),
  contains: (left, right) => asSet(left).has(right),
  containsAll: (left, right) => asSet(left).hasAll(asSet(right)),
  containsAny: (left, right) => asSet(left).hasAny(asSet(right)),
  hasTag: (left, right, world) => {
    const uid = asEntity(left)
    const tag = asString(right)
    return world.entity(uid)?.tags.has(tag) === true
  },
  getTag: (left, right, world) => {
    const uid = asEntity(left)
    const tag = asString(right)
    return found(existing(uid, world).tags.get(tag), 'tag')
  },
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

export function attributeOfEntity(of: EntityUid, name: string, world: Entities): Value {
  return found(existing(of, world).attributes.get(name), 'attribute')
}

export function attribute(of: Value, name: string, world: Entities): Value {
  if (of instanceof EntityUid) return attributeOfEntity(of, name, world)
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

type Call = (first: Value, second: Value) => Value

/** The second operand is there for those that take two. */
const calls: Readonly<Record<FunctionName, Call>> = {
  decimal: (text) => Decimal.parse(asString(text)),
  lessThan: (left, right) => compareDecimals(left, right) < 0,
  lessThanOrEqual: (left, right) => compareDecimals(left, right) <= 0,
  greaterThan: (left, right) => compareDecimals(left, right) > 0,
  greaterThanOrEqual: (left, right) => compareDecimals(left, right) >= 0,
  ip: (text) => IpAddress.parse(asString(text)),
  isIpv4: (address) => asIp(address).isIpv4(),
  isIpv6: (address) => !asIp(address).isIpv4(),
  isLoopback: (address) => asIp(address).isLoopback(),
  isMulticast: (address) => asIp(address).isMulticast(),
  isInRange: (address, range) => asIp(address).isInRange(asIp(range)),
  datetime: (text) => Datetime.parse(asString(text)),
  offset: (moment, by) => asDatetime(moment).offset(asDuration(by)),
  durationSince: (moment, other) => asDatetime(moment).durationSince(asDatetime(other)),
  toDate: (moment) => asDatetime(moment).toDate(),
  toTime: (moment) => asDatetime(moment).toTime(),
  duration: (text) => Duration.parse(asString(text)),
  toMilliseconds: (duration) => longOf(asDuration(duration).in('milliseconds')),
  toSeconds: (duration) => longOf(asDuration(duration).in('seconds')),
  toMinutes: (duration) => longOf(asDuration(duration).in('minutes')),
  toHours: (duration) => longOf(asDuration(duration).in('hours')),
  toDays: (duration) => longOf(asDuration(duration).in('days')),
}

/** Null for another number of operands than it takes. */
export function callOf(name: FunctionName, operands: number): Call | null {
  return operands === functions[name] ? calls[name] : null
}

export function call(name: FunctionName, operands: readonly Value[]): Value {
  const apply = callOf(name, operands.length)
  if (apply === null) throw new EvaluationError(`${name} takes ${functions[name]} arguments`)
  return apply(...(operands as readonly [Value, Value]))
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
