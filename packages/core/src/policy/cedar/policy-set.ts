/** Many policies, compiled and indexed by their scopes, and what they decide together (Cedar reference, authorization). */

import { compileExpression } from './compile-expression.ts'
import type { Evaluate } from './compile-expression.ts'
import type { Policy } from './expression.ts'
import { asBoolean } from './operations.ts'
import { mayBeFalse, mayBeTrue, mayFail, outcomesOfPolicy } from './possible.ts'
import type { PartialWorld } from './possible.ts'
import { looksAt } from './reads.ts'
import { EvaluationError } from './evaluation-error.ts'
import { ScopeIndex, remainderOf, remains } from './scope-index.ts'
import type { Remainder } from './scope-index.ts'
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
  readonly scope: Remainder
  readonly conditions: readonly { readonly holds: boolean; readonly evaluate: Evaluate }[]
}

export class PolicySet {
  readonly policies: readonly Policy[]
  readonly #index: ScopeIndex<Compiled>

  /** Every id once. */
  constructor(policies: readonly Policy[]) {
    this.policies = policies
    this.#index = new ScopeIndex(policies.map((policy, index) => [policy, compilePolicy(policy, index)]))
  }

  authorize(world: World): Authorization {
    const permits: Compiled[] = []
    const forbids: Compiled[] = []
    const failures: { readonly index: number; readonly failure: PolicyFailure }[] = []
    for (const list of this.#index.candidates(world)) {
      for (const one of list) {
        if (!remains(one.scope, world)) continue
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
    for (const list of this.#index.candidates(world)) {
      for (const one of list) {
        if (!remains(one.scope, world)) continue
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
}

function compilePolicy(policy: Policy, index: number): Compiled {
  const conditions = policy.conditions.map(compileCondition)
  return { index, policy, scope: remainderOf(policy), looksAtArguments: looksAt(policy, 'args'), conditions }
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

function inOrder<T extends { readonly index: number }>(some: readonly T[]): readonly T[] {
  return some.length < 2 ? some : some.toSorted((a, b) => a.index - b.index)
}
