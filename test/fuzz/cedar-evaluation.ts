/** A generated case decided by the closures of core. */

import { compileExpression } from '../../packages/core/src/policy/cedar/compile-expression.ts'
import type { Expression } from '../../packages/core/src/policy/cedar/expression.ts'
import type { CedarRecord, EntityUid, Value } from '../../packages/core/src/policy/cedar/value.ts'
import type { Entity, World } from '../../packages/core/src/policy/cedar/world.ts'
import type { Case, GeneratedRequest, Members, StoredEntity } from './cedar-cases.ts'

/** Of an expression that needs no request. */
export function constant(expression: Expression): Value {
  return compileExpression(expression)(undefined as never)
}

export function recordOf(members: Members): CedarRecord {
  return new Map([...members].map(([name, one]) => [name, constant(one)]))
}

export type Known = ReadonlyMap<string, Entity>

export function knownOf(entities: readonly StoredEntity[]): Known {
  const parents = new Map(entities.map(({ uid, parents }) => [uid.key, parents]))
  const climb = (uid: EntityUid, into: Set<string>): Set<string> => {
    for (const parent of parents.get(uid.key) ?? []) if (!into.has(parent.key)) climb(parent, into.add(parent.key))
    return into
  }
  return new Map(
    entities.map(({ uid, attributes, tags }) => [
      uid.key,
      { attributes: recordOf(attributes), tags: recordOf(tags), ancestors: climb(uid, new Set()) },
    ]),
  )
}

export function worldOf({ principal, action, resource, context }: GeneratedRequest, known: Known): World {
  return { principal, action, resource, context: recordOf(context), entity: ({ key }) => known.get(key) ?? null }
}

export function worldOfCase({ entities, request }: Case): World {
  return worldOf(request, knownOf(entities))
}
