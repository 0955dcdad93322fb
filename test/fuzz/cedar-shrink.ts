/** Smaller cases that still show the same. */

import type { Expression, Policy } from '../../packages/core/src/policy/cedar/expression.ts'
import { partsOf } from '../../packages/core/src/policy/cedar/reads.ts'
import type { Case, Members, StoredEntity } from './cedar-cases.ts'

const MAX_TRIES = 3000

/** Takes away one thing after the other for as long as `shows` holds. */
export function smaller(given: Case, shows: (one: Case) => boolean): Case {
  let best = given
  let tries = 0
  for (let again = true; again;) {
    again = false
    for (const candidate of smallerCases(best)) {
      if (++tries > MAX_TRIES) return best
      if (!shows(candidate)) continue
      best = candidate
      again = true
      break
    }
  }
  return best
}

function* smallerCases(one: Case): Iterable<Case> {
  for (const policies of without(one.policies)) yield { ...one, policies }
  for (const [i, policy] of one.policies.entries())
    for (const other of smallerPolicies(policy)) yield { ...one, policies: one.policies.with(i, other) }
  for (const entities of without(one.entities)) yield { ...one, entities }
  for (const context of withoutMembers(one.request.context)) yield { ...one, request: { ...one.request, context } }
  for (const [i, entity] of one.entities.entries())
    for (const other of smallerEntities(entity)) yield { ...one, entities: one.entities.with(i, other) }
}

function* without<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (const i of items.keys()) yield items.toSpliced(i, 1)
}

function* withoutMembers(members: Members): Iterable<Members> {
  for (const name of members.keys()) yield new Map([...members].filter(([other]) => other !== name))
}

function* smallerEntities(entity: StoredEntity): Iterable<StoredEntity> {
  for (const attributes of withoutMembers(entity.attributes)) yield { ...entity, attributes }
  for (const tags of withoutMembers(entity.tags)) yield { ...entity, tags }
  for (const parents of without(entity.parents)) yield { ...entity, parents }
}

function* smallerPolicies(policy: Policy): Iterable<Policy> {
  for (const slot of ['principal', 'action', 'resource'] as const)
    if (policy[slot].kind !== 'any') yield { ...policy, [slot]: { kind: 'any' } }
  for (const conditions of without(policy.conditions)) yield { ...policy, conditions }
  for (const [i, condition] of policy.conditions.entries())
    for (const body of smallerExpressions(condition.body))
      yield { ...policy, conditions: policy.conditions.with(i, { ...condition, body }) }
}

/** One of its parts in its place, or one part made smaller. */
function* smallerExpressions(expression: Expression): Iterable<Expression> {
  const parts = partsOf(expression)
  yield* parts
  if (expression.kind === 'set') for (const members of without(expression.members)) yield { ...expression, members }
  if (expression.kind === 'record')
    for (const members of withoutMembers(expression.members)) yield { ...expression, members }
  for (const [i, part] of parts.entries())
    for (const other of smallerExpressions(part)) yield withPart(expression, i, other)
}

/** With another part at that place of `partsOf`. */
function withPart(expression: Expression, at: number, part: Expression): Expression {
  switch (expression.kind) {
    case 'literal':
    case 'variable':
      return expression
    case 'unary':
      return { ...expression, operand: part }
    case 'binary':
    case 'and':
    case 'or':
      return { ...expression, [at === 0 ? 'left' : 'right']: part }
    case 'if':
      return { ...expression, [(['test', 'yes', 'no'] as const)[at] ?? 'no']: part }
    case 'get':
    case 'has':
    case 'like':
      return { ...expression, of: part }
    case 'is':
      return { ...expression, [at === 0 ? 'of' : 'within']: part }
    case 'set':
      return { ...expression, members: expression.members.with(at, part) }
    case 'record': {
      const names = [...expression.members.keys()]
      return { ...expression, members: new Map([...expression.members, [names[at] ?? '', part]]) }
    }
    case 'call':
      return { ...expression, operands: expression.operands.with(at, part) }
  }
}
