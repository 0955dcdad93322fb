/**
 * Whether one policy holds wherever another does, judged by comparing scopes and clauses as they are written. Sound and
 * not complete: what is called covered is; what is not may yet be.
 */

import { actionTable } from './action.ts'
import { partsOf } from './cedar/reads.ts'
import type { Constraint, Expression, PatternPart, Policy } from './cedar/expression.ts'
import type { EntityUid } from './cedar/value.ts'
import { matchesPattern } from './cedar/operations.ts'
import { expressionText } from './explain-text.ts'

/** Something that a policy demands to be true, or with `negated` to be false. */
interface Demand {
  readonly body: Expression
  readonly negated: boolean
  /** The same for demands that are written alike. */
  readonly key: string
}

/** A policy as far as it is compared. */
export interface Comparable {
  readonly policy: Policy
  readonly demands: readonly Demand[]
  readonly keys: ReadonlySet<string>
}

export function comparable(policy: Policy): Comparable {
  const demands = policy.conditions.flatMap(({ kind, body }) => demandsOf(body, kind === 'unless'))
  return { policy, demands, keys: new Set(demands.map(({ key }) => key)) }
}

/** In the order in which Cedar looks at them: a conjunction that is true, or a disjunction that is false, has every part so. */
function demandsOf(body: Expression, negated: boolean): readonly Demand[] {
  const demands: Demand[] = []
  const open: (readonly [Expression, boolean])[] = [[body, negated]]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [one, no] = next
    if (one.kind === (no ? 'or' : 'and')) open.push([one.right, no], [one.left, no])
    else if (one.kind === 'unary' && one.operator === '!') open.push([one.operand, !no])
    else if (one.kind !== 'literal' || one.value !== !no)
      demands.push({ body: one, negated: no, key: `${no ? '!' : ''}${expressionText(one)}` })
  }
  return demands
}

/**
 * Wherever `narrow` holds, `wide` does; and wherever `narrow` fails, so does `wide`. So without `narrow` nothing would
 * be decided otherwise, if both have the same effect; and if `narrow` permits and `wide` forbids, likewise.
 * Expects policies that the schema allows.
 */
export function covers(wide: Comparable, narrow: Comparable): boolean {
  const { policy: w } = wide
  const { policy: n } = narrow
  const scope = includes(w.principal, n.principal) && includes(w.action, n.action) && includes(w.resource, n.resource)
  return scope && wide.demands.every((demand) => follows(demand, narrow)) && failsNoOftener(wide, narrow)
}

/** What `narrow` looks at before it fails, `wide` looks at in the same order; what comes after cannot fail. */
function failsNoOftener(wide: Comparable, narrow: Comparable): boolean {
  let same = 0
  while (same < wide.demands.length && wide.demands[same]?.key === narrow.demands[same]?.key) same++
  const common = narrow.demands.slice(0, same)
  if (common.length === narrow.demands.length) return true
  // The rest of `wide` is looked at only where the common part holds, and so is the rest of `narrow`.
  return narrow.demands.slice(same).every(({ body }) => cannotFail(body))
}

/** Everything that the second admits, the first does. */
function includes(wide: Constraint, narrow: Constraint): boolean {
  switch (wide.kind) {
    case 'any':
      return true
    case 'equal':
      return narrow.kind === 'equal' && same(wide.uid, narrow.uid)
    case 'in': {
      const within = (uid: EntityUid) => wide.uids.some((above) => same(above, uid))
      if (narrow.kind === 'equal') return wide.uids.some((above) => isBelow(narrow.uid, above))
      if (narrow.kind === 'in') return narrow.uids.every(within)
      return narrow.kind === 'is' && narrow.within !== null && within(narrow.within)
    }
    case 'is': {
      const { type, within } = wide
      if (narrow.kind === 'equal') return narrow.uid.type === type && (within === null || isBelow(narrow.uid, within))
      if (narrow.kind !== 'is' || narrow.type !== type) return false
      return within === null || (narrow.within !== null && same(within, narrow.within))
    }
  }
}

/** As far as the names tell: actions in their groups, items in their servers. */
function isBelow(uid: EntityUid, above: EntityUid): boolean {
  if (same(uid, above)) return true
  if (uid.type === 'Action' && above.type === 'Action')
    return actionTable.get(uid.id)?.uses.some(({ group }) => group === above.id) === true
  return above.type === 'Server' && items.has(uid.type) && uid.id.startsWith(`${above.id}/`)
}

const items: ReadonlySet<string> = new Set(['Tool', 'Prompt', 'Resource', 'Task', 'Route'])

function same(a: EntityUid, b: EntityUid): boolean {
  return a.type === b.type && a.id === b.id
}

function follows(demand: Demand, from: Comparable): boolean {
  if (from.keys.has(demand.key)) return true
  const admitted = textsOf(demand)
  if (admitted === null) return false
  return from.demands.some((given) => {
    const texts = textsOf(given)
    return texts !== null && texts.of === admitted.of && within(texts, admitted)
  })
}

/** The strings that a demand admits for what it looks at: some that are listed, or those of a pattern. */
interface Texts {
  readonly of: string
  readonly listed: readonly string[] | null
  readonly pattern: readonly PatternPart[]
}

function textsOf({ body, negated }: Demand): Texts | null {
  if (negated) return null
  if (body.kind === 'like') return { of: expressionText(body.of), listed: null, pattern: body.pattern }
  if (body.kind !== 'binary') return null
  const { operator, left, right } = body
  if (operator === '==' && right.kind === 'literal' && typeof right.value === 'string')
    return { of: expressionText(left), listed: [right.value], pattern: [] }
  if (operator !== 'contains' || left.kind !== 'set') return null
  const listed = left.members.flatMap((one) =>
    one.kind === 'literal' && typeof one.value === 'string' ? [one.value] : [],
  )
  return listed.length === left.members.length ? { of: expressionText(right), listed, pattern: [] } : null
}

function within(narrow: Texts, wide: Texts): boolean {
  if (narrow.listed !== null) {
    return narrow.listed.every((text) =>
      wide.listed === null ? matchesPattern(text, wide.pattern) : wide.listed.includes(text),
    )
  }
  return wide.listed === null && patternWithin(narrow.pattern, wide.pattern)
}

/** A character that no Cedar string has, as any number of any characters: only a wildcard can take it in. */
const anything = '\ud800'

function patternWithin(narrow: readonly PatternPart[], wide: readonly PatternPart[]): boolean {
  return matchesPattern(narrow.map((part) => part ?? anything).join(''), wide)
}

/** Functions that have a value for everything of the right type. */
const safe: ReadonlySet<string> = new Set([
  'lessThan',
  'lessThanOrEqual',
  'greaterThan',
  'greaterThanOrEqual',
  'isIpv4',
  'isIpv6',
  'isLoopback',
  'isMulticast',
  'isInRange',
  'toDate',
  'toTime',
  'toMilliseconds',
  'toSeconds',
  'toMinutes',
  'toHours',
  'toDays',
])
const constructors: ReadonlySet<string> = new Set(['ip', 'decimal', 'datetime', 'duration'])
const unsafe: ReadonlySet<string> = new Set(['+', '-', '*', 'getTag', 'hasTag'])

/** A part of the context that is always there, with the type that the schema says. Arguments and addresses are as they come. */
const sound: ReadonlySet<string> = new Set(['effect', 'strength', 'time', 'delegation'])

/** Whether an expression that fits the schema has a value for every call. */
function cannotFail(expression: Expression): boolean {
  switch (expression.kind) {
    case 'literal':
      return true
    case 'variable':
      return expression.name !== 'context'
    case 'unary':
      return expression.operator !== 'neg' && cannotFail(expression.operand)
    case 'binary':
      return !unsafe.has(expression.operator) && cannotFail(expression.left) && cannotFail(expression.right)
    case 'get':
      return isContext(expression.of) ? sound.has(expression.name) : reads(expression.of)
    case 'has':
      return isContext(expression.of) ? expression.path.length === 1 : reads(expression.of)
    case 'call':
      if (constructors.has(expression.name)) return expression.operands.every(({ kind }) => kind === 'literal')
      // The first midnight of all lies before the first moment.
      return safe.has(expression.name) && expression.name !== 'toDate' && expression.operands.every(cannotFail)
    case 'and':
    case 'or':
    case 'if':
    case 'like':
    case 'is':
    case 'set':
    case 'record':
      return partsOf(expression).every(cannotFail)
  }
}

/** Who calls, what is called and who is in the delegation are there; an entity that is named need not be. */
function reads(expression: Expression): boolean {
  if (expression.kind === 'variable') return expression.name !== 'context'
  return expression.kind === 'get' && cannotFail(expression)
}

function isContext(expression: Expression): boolean {
  return expression.kind === 'variable' && expression.name === 'context'
}
