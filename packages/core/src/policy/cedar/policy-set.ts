/** Many policies, compiled and indexed by their scopes, and what they decide together (Cedar reference, authorization). */

import { compileExpression } from './compile-expression.ts'
import type { Evaluate } from './compile-expression.ts'
import type { Constraint, Policy } from './expression.ts'
import { asBoolean } from './operations.ts'
import { mayBeFalse, mayBeTrue, mayFail, outcomesOfPolicy } from './possible.ts'
import type { PartialWorld } from './possible.ts'
import { looksAt } from './reads.ts'
import { EvaluationError } from './evaluation-error.ts'
import type { EntityUid } from './value.ts'
import { meets } from './scope.ts'
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

/** What may come out for some value of the arguments. */
export type Outlook = 'allow' | 'deny' | 'depends'

interface Compiled {
  readonly index: number
  readonly looksAtArguments: boolean
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

  /**
   * What comes out for every value of the arguments, where any error in a policy that fits denies: `partial` is the same
   * world without them. `deny` and `allow` are certain; where it `depends`, one of the two may yet never come out.
   */
  outlook(world: World, partial: PartialWorld): Outlook {
    let [mayPermit, mustPermit, mayDeny] = [false, false, false]
    let seen: Set<Compiled> | undefined
    for (const list of this.#candidates(world)) {
      for (const one of list) {
        if (!fits(one.policy, world) || (one.several && seen?.has(one) === true)) continue
        if (one.several) (seen ??= new Set()).add(one)
        const outcomes = one.looksAtArguments ? outcomesOfPolicy(one.policy, partial) : outcomeNow(one, world)
        const holds = (outcomes & mayBeTrue) !== 0
        if (outcomes === mayFail) return 'deny'
        if ((outcomes & mayFail) !== 0) mayDeny = true
        if (one.policy.effect === 'forbid') {
          if ((outcomes & (mayBeFalse | mayFail)) === 0) return 'deny'
          if (holds) mayDeny = true
        } else if (holds) {
          mayPermit = true
          if (outcomes === mayBeTrue) mustPermit = true
        }
      }
    }
    if (!mayPermit) return 'deny'
    return mustPermit && !mayDeny ? 'allow' : 'depends'
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
  const looksAtArguments = looksAt(policy, 'args')
  return { index, policy, several, looksAtArguments, conditions: policy.conditions.map(compileCondition) }
}

function outcomeNow(one: Compiled, world: World): number {
  try {
    return holds(one, world) ? mayBeTrue : mayBeFalse
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return mayFail
  }
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

function inOrder<T extends { readonly index: number }>(some: readonly T[]): readonly T[] {
  return some.length < 2 ? some : some.toSorted((a, b) => a.index - b.index)
}
