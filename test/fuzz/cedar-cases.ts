/** Policy sets, entities and requests by chance. */

import type { Constraint, Expression, Policy } from '../../packages/core/src/policy/cedar/expression.ts'
import { partsOf } from '../../packages/core/src/policy/cedar/reads.ts'
import { EntityUid } from '../../packages/core/src/policy/cedar/value.ts'
import { actions, goodForm, kinds, longBy, memberOf, namesOf, stringBy, types, uidOf } from './cedar-atoms.ts'
import type { Kind } from './cedar-atoms.ts'
import { Expressions, call, literal } from './cedar-expressions.ts'
import type { Tastes } from './cedar-expressions.ts'
import type { Chance } from './chance.ts'

/** Members by name, each an expression that needs no request. */
export type Members = ReadonlyMap<string, Expression>

export interface StoredEntity {
  readonly uid: EntityUid
  readonly attributes: Members
  readonly tags: Members
  readonly parents: readonly EntityUid[]
}

export interface GeneratedRequest {
  readonly principal: EntityUid
  readonly action: EntityUid
  readonly resource: EntityUid
  readonly context: Members
}

export interface Case {
  readonly policies: readonly Policy[]
  readonly entities: readonly StoredEntity[]
  readonly request: GeneratedRequest
}

/** Which members there are: of these names each with that probability, and what is in records down to that depth. */
interface Shape {
  readonly probability: number
  readonly names: ReadonlySet<string>
  readonly depth: number
}

const none: Members = new Map()

/** A value of that kind; one in fifty is of another. */
function storedValue(chance: Chance, asked: Kind, { names, depth }: Omit<Shape, 'probability'>): Expression {
  const kind = chance.next() < 0.02 ? chance.of(kinds) : asked
  switch (kind) {
    case 'bool':
      return literal(chance.next() < 0.5)
    case 'long':
      return literal(longBy(chance))
    case 'string':
      return literal(stringBy(chance))
    case 'entity':
      return literal(uidOf(chance))
    case 'ip':
    case 'decimal':
    case 'datetime':
    case 'duration':
      return call(kind, literal(goodForm(chance, kind)))
    case 'record':
      return { kind: 'record', members: depth <= 0 ? none : membersBy(chance, { probability: 0.4, names, depth }) }
    case 'longs':
    case 'strings':
    case 'entities':
    case 'sets': {
      const members = Array.from({ length: chance.below(4) }, () =>
        storedValue(chance, memberOf[kind], { names, depth: depth - 1 }),
      )
      return { kind: 'set', members }
    }
  }
}

export function membersBy(chance: Chance, { probability, names, depth }: Shape): Members {
  const members = new Map<string, Expression>()
  for (const kind of kinds) {
    for (const name of namesOf[kind]) {
      // In data this name would be read as an entity.
      if (name === '__entity' || !names.has(name) || chance.next() >= probability) continue
      members.set(name, storedValue(chance, kind, { names, depth: depth - 1 }))
    }
  }
  return members
}

/** What policies look up anywhere, and a little more. */
export function namesIn(policies: readonly Policy[]): ReadonlySet<string> {
  const names = new Set(['n', 'b'])
  const collect = (expression: Expression): void => {
    if (expression.kind === 'get') names.add(expression.name)
    if (expression.kind === 'has') for (const name of expression.path) names.add(name)
    if (expression.kind === 'record') for (const name of expression.members.keys()) names.add(name)
    if (expression.kind === 'literal' && typeof expression.value === 'string') names.add(expression.value)
    for (const part of partsOf(expression)) collect(part)
  }
  for (const { conditions } of policies) for (const { body } of conditions) collect(body)
  return names
}

const everyone: readonly EntityUid[] = types.flatMap((type) => ['a', 'b'].map((id) => new EntityUid(type, id)))

/** Some of the entities that policies and requests name. Parents come later in one order, so there are no circles. */
export function entitiesBy(chance: Chance, names: ReadonlySet<string>): readonly StoredEntity[] {
  const stored = everyone.flatMap((uid, i): readonly StoredEntity[] => {
    if (chance.next() < 0.25) return []
    const parents = everyone.slice(i + 1).filter(() => chance.next() < 0.2)
    const rich = chance.next() < 0.4
    const attributes = membersBy(chance, { probability: rich ? 0.8 : 0.1, names, depth: 2 })
    const tags = chance.next() < 0.4 ? membersBy(chance, { probability: 0.7, names, depth: 1 }) : none
    return [{ uid, attributes, tags, parents }]
  })
  const groups = actions.slice(2).filter(() => chance.next() < 0.6)
  const acting = actions.slice(0, 2).map((uid) => ({ uid, attributes: none, tags: none, parents: groups }))
  return [...stored, ...acting]
}

export function requestBy(chance: Chance, names: ReadonlySet<string>): GeneratedRequest {
  return {
    principal: chance.next() < 0.9 ? chance.of(everyone) : uidOf(chance),
    action: chance.of(actions.slice(0, 2)),
    resource: chance.next() < 0.9 ? chance.of(everyone) : uidOf(chance),
    context: membersBy(chance, { probability: 0.85, names, depth: 2 }),
  }
}

export class Policies {
  readonly #chance: Chance
  readonly #expressions: Expressions

  constructor(chance: Chance, tastes?: Tastes) {
    this.#chance = chance
    this.#expressions = new Expressions(chance, tastes)
  }

  /** One to six policies. */
  set(): readonly Policy[] {
    return Array.from({ length: this.#chance.below(6) + 1 }, (_one, i) => this.policy(`p${i}`))
  }

  policy(id: string): Policy {
    const chance = this.#chance
    const conditions = Array.from({ length: chance.of([0, 1, 1, 1, 2, 2, 3]) }, () => ({
      kind: chance.next() < 0.7 ? ('when' as const) : ('unless' as const),
      body: this.#expressions.of('bool', 1 + chance.below(4)),
    }))
    return {
      id,
      effect: chance.next() < 0.65 ? 'permit' : 'forbid',
      principal: this.#constraint(),
      action: this.#actionConstraint(),
      resource: this.#constraint(),
      conditions,
      annotations: new Map(),
    }
  }

  #constraint(): Constraint {
    const chance = this.#chance
    const at = chance.next()
    if (at < 0.65) return { kind: 'any' }
    if (at < 0.7) return { kind: 'equal', uid: uidOf(chance) }
    if (at < 0.85) return { kind: 'in', uids: [uidOf(chance)] }
    return { kind: 'is', type: chance.of(types), within: chance.next() < 0.5 ? null : uidOf(chance) }
  }

  #actionConstraint(): Constraint {
    const chance = this.#chance
    const at = chance.next()
    if (at < 0.6) return { kind: 'any' }
    if (at < 0.75) return { kind: 'equal', uid: chance.of(actions) }
    return { kind: 'in', uids: actions.filter(() => chance.next() < 0.5) }
  }
}
