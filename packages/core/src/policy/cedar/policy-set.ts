/** Many policies, compiled and indexed by their scopes, and what they decide together (Cedar reference, authorization). */

import { compileExpression } from './compile-expression.ts'
import type { Evaluate } from './compile-expression.ts'
import type { Constraint, Policy } from './expression.ts'
import { asBoolean } from './operations.ts'
import { EvaluationError } from './evaluation-error.ts'
import type { EntityUid } from './value.ts'
import { isWithin } from './world.ts'
import type { World } from './world.ts'

export interface PolicyFailure {
  readonly policyId: string
  readonly message: string
}

export interface Authorization {
  readonly decision: 'allow' | 'deny'
  /** Ids of the determining policies: the forbids that hold, or else the permits. In the order of the set. */
  readonly reasons: readonly string[]
  /** Policies whose scope fits and whose condition has no value. */
  readonly errors: readonly PolicyFailure[]
}

interface Compiled {
  readonly index: number
  readonly policy: Policy
  /** The scope names several entities, so that more than one list may lead to it. */
  readonly several: boolean
  readonly conditions: readonly { readonly holds: boolean; readonly evaluate: Evaluate }[]
}

type Slot = 'principal' | 'action' | 'resource'

/**
 * Policies under the entities that their scopes name: those of one key apply to nothing that is not it or below it.
 * Policies that name none are under no key.
 */
class ScopeIndex {
  readonly #named = new Map<string, Compiled[]>()
  readonly #open: Compiled[] = []

  constructor(compiled: readonly Compiled[], slot: Slot) {
    for (const one of compiled) {
      const uids = namedBy(one.policy[slot])
      if (uids === null) this.#open.push(one)
      else for (const key of new Set(uids.map(({ key }) => key))) this.#under(key).push(one)
    }
  }

  candidates(uid: EntityUid, world: World): readonly (readonly Compiled[])[] {
    const found: (readonly Compiled[])[] = this.#open.length === 0 ? [] : [this.#open]
    const own = this.#named.get(uid.key)
    if (own !== undefined) found.push(own)
    const ancestors = world.entity(uid)?.ancestors
    if (ancestors === undefined) return found
    for (const key of ancestors) {
      const under = key === uid.key ? undefined : this.#named.get(key)
      if (under !== undefined) found.push(under)
    }
    return found
  }

  #under(key: string): Compiled[] {
    const list = this.#named.get(key) ?? []
    this.#named.set(key, list)
    return list
  }
}

/** Null for a scope that names no entity. */
function namedBy(constraint: Constraint): readonly EntityUid[] | null {
  switch (constraint.kind) {
    case 'any':
      return null
    case 'equal':
      return [constraint.uid]
    case 'in':
      return constraint.uids
    case 'is':
      return constraint.within === null ? null : [constraint.within]
  }
}

const slots: readonly Slot[] = ['principal', 'resource', 'action']

export class PolicySet {
  readonly policies: readonly Policy[]
  readonly #indexes: readonly { readonly slot: Slot; readonly index: ScopeIndex }[]

  /** Every id once. */
  constructor(policies: readonly Policy[]) {
    this.policies = policies
    const compiled = policies.map(compilePolicy)
    this.#indexes = slots.map((slot) => ({ slot, index: new ScopeIndex(compiled, slot) }))
  }

  authorize(world: World): Authorization {
    const permits: Compiled[] = []
    const forbids: Compiled[] = []
    const failures: { readonly index: number; readonly failure: PolicyFailure }[] = []
    let seen: Set<Compiled> | undefined
    for (const list of this.#candidates(world)) {
      for (const one of list) {
        if (!fits(one.policy, world) || (one.several && seen?.has(one) === true)) continue
        if (one.several) (seen ??= new Set()).add(one)
        try {
          if (holds(one, world)) (one.policy.effect === 'permit' ? permits : forbids).push(one)
        } catch (error) {
          if (!(error instanceof EvaluationError)) throw error
          failures.push({ index: one.index, failure: { policyId: one.policy.id, message: error.message } })
        }
      }
    }
    const decision = permits.length > 0 && forbids.length === 0 ? 'allow' : 'deny'
    return {
      decision,
      reasons: inOrder(forbids.length > 0 ? forbids : permits).map(({ policy }) => policy.id),
      errors: inOrder(failures).map(({ failure }) => failure),
    }
  }

  /** By the part of the scope that leaves the fewest. */
  #candidates(world: World): readonly (readonly Compiled[])[] {
    let best: readonly (readonly Compiled[])[] = []
    let least = Number.POSITIVE_INFINITY
    for (const { slot, index } of this.#indexes) {
      const found = index.candidates(world[slot], world)
      let size = 0
      for (const list of found) size += list.length
      if (size >= least) continue
      least = size
      best = found
    }
    return best
  }
}

function compilePolicy(policy: Policy, index: number): Compiled {
  const several = slots.some((slot) => (namedBy(policy[slot])?.length ?? 0) > 1)
  return { index, policy, several, conditions: policy.conditions.map(compileCondition) }
}

function compileCondition({ kind, body }: Policy['conditions'][number]): Compiled['conditions'][number] {
  return { holds: kind === 'when', evaluate: compileExpression(body) }
}

function holds({ conditions }: Compiled, world: World): boolean {
  for (const { holds: wanted, evaluate } of conditions) {
    if (asBoolean(evaluate(world)) !== wanted) return false
  }
  return true
}

function fits({ principal, action, resource }: Policy, world: World): boolean {
  return (
    meets(principal, world.principal, world) &&
    meets(action, world.action, world) &&
    meets(resource, world.resource, world)
  )
}

function meets(constraint: Constraint, uid: EntityUid, world: World): boolean {
  switch (constraint.kind) {
    case 'any':
      return true
    case 'equal':
      return constraint.uid.type === uid.type && constraint.uid.id === uid.id
    case 'in':
      return constraint.uids.some((above) => isWithin(world, uid, above))
    case 'is':
      return constraint.type === uid.type && (constraint.within === null || isWithin(world, uid, constraint.within))
  }
}

function inOrder<T extends { readonly index: number }>(some: readonly T[]): readonly T[] {
  return some.length < 2 ? some : some.toSorted((a, b) => a.index - b.index)
}
