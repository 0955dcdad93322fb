/** Many policies, compiled and indexed by their scopes, and what they decide together (Cedar reference, authorization). */

import { ExpressionCompiler } from './compile-expression.ts'
import type { Policy } from './expression.ts'
import { asBoolean } from './operations.ts'
import { mayBeFalse, mayBeTrue, mayFail, outcomesOfPolicy } from './possible.ts'
import type { PartialWorld } from './possible.ts'
import { looksAt } from './reads.ts'
import { EvaluationError } from './evaluation-error.ts'
import { ScopeIndex, remainderOf, remains } from './scope-index.ts'
import type { Remainder } from './scope-index.ts'
import type { EntityUid } from './value.ts'
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

/** Throws `EvaluationError` where the condition has no value. */
type Condition = (world: World) => boolean

interface Compiled {
  readonly index: number
  readonly id: string
  readonly permits: boolean
  readonly looksAtArguments: boolean
  readonly policy: Policy
  readonly scope: Remainder
  readonly condition: Condition
}

export class PolicySet {
  readonly policies: readonly Policy[]
  readonly #index: ScopeIndex<Compiled>

  /** Every id once. `actions`: see `ScopeIndex`. */
  constructor(policies: readonly Policy[], actions: ReadonlySet<EntityUid> = new Set()) {
    this.policies = policies
    const conditions = new ConditionCompiler()
    const compiled = policies.map((policy, index) => [policy, compilePolicy(policy, index, conditions)] as const)
    this.#index = new ScopeIndex(compiled, actions)
  }

  authorize(world: World): Authorization {
    const permits: Compiled[] = []
    const forbids: Compiled[] = []
    const failures: { readonly index: number; readonly failure: PolicyFailure }[] = []
    for (const list of this.#index.candidates(world)) {
      for (const one of list) {
        if (!remains(one.scope, world)) continue
        try {
          if (one.condition(world)) (one.permits ? permits : forbids).push(one)
        } catch (error) {
          if (!(error instanceof EvaluationError)) throw error
          failures.push({ index: one.index, failure: { policyId: one.id, message: error.message } })
        }
      }
    }
    const decision = permits.length > 0 && forbids.length === 0 ? 'allow' : 'deny'
    return {
      decision,
      reasons: inOrder(forbids.length > 0 ? forbids : permits).map(({ id }) => id),
      errors: inOrder(failures).map(({ failure }) => failure),
    }
  }

  /**
   * What comes out for every value of the arguments, where any error in a policy that fits denies: `partial` is the same
   * world without them. `deny` and `allow` are certain; where it `depends`, one of the two may yet never come out.
   */
  outlook(world: World, partial: PartialWorld): Outlook {
    const sum = new OutlookSum()
    for (const list of this.#index.candidates(world)) {
      for (const one of list) {
        if (!remains(one.scope, world)) continue
        const outcomes = one.looksAtArguments ? outcomesOfPolicy(one.policy, partial) : outcomeNow(one, world)
        if (sum.isDeniedBy(one.permits, outcomes)) return 'deny'
      }
    }
    return sum.outlook
  }

  /** As `outlook`, for every resource too that `partial` leaves open: the one in `world` is not looked at. */
  outlookOfSome(world: World, partial: PartialWorld): Outlook {
    const sum = new OutlookSum()
    for (const one of this.#index.ofPrincipal(world))
      if (sum.isDeniedBy(one.permits, outcomesOfPolicy(one.policy, partial))) return 'deny'
    return sum.outlook
  }
}

/** What policies that fit, one after the other, leave open. */
class OutlookSum {
  #mayPermit = false
  #mustPermit = false
  #mayDeny = false

  /** True when the policy denies whatever comes: then nothing else counts. */
  isDeniedBy(permits: boolean, outcomes: number): boolean {
    const holds = (outcomes & mayBeTrue) !== 0
    if (outcomes === mayFail || (!permits && (outcomes & mayBeFalse) === 0)) return true
    if ((outcomes & mayFail) !== 0 || (!permits && holds)) this.#mayDeny = true
    if (permits && holds) this.#mayPermit = true
    if (permits && outcomes === mayBeTrue) this.#mustPermit = true
    return false
  }

  get outlook(): Outlook {
    if (!this.#mayPermit) return 'deny'
    return this.#mustPermit && !this.#mayDeny ? 'allow' : 'depends'
  }
}

function compilePolicy(policy: Policy, index: number, conditions: ConditionCompiler): Compiled {
  return {
    index,
    id: policy.id,
    permits: policy.effect === 'permit',
    looksAtArguments: looksAt(policy, 'args'),
    policy,
    scope: remainderOf(policy),
    condition: conditions.compile(policy.conditions),
  }
}

function outcomeNow(one: Compiled, world: World): number {
  try {
    return one.condition(world) ? mayBeTrue : mayBeFalse
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return mayFail
  }
}

/** One closure for all policies with the same conditions. */
class ConditionCompiler {
  readonly #expressions = new ExpressionCompiler()
  readonly #known = new Map<string, Condition>()

  compile(conditions: Policy['conditions']): Condition {
    const key = conditions.map(({ kind, body }) => `${kind} ${this.#expressions.number(body)}`).join(' ')
    const known = this.#known.get(key) ?? this.#inOrder(conditions)
    this.#known.set(key, known)
    return known
  }

  /** What a `when` before decides, the next ones are not asked. */
  #inOrder(conditions: Policy['conditions']): Condition {
    const compiled = conditions.map(({ kind, body }): Condition => {
      const evaluate = this.#expressions.compile(body)
      return kind === 'when' ? (world) => asBoolean(evaluate(world)) : (world) => !asBoolean(evaluate(world))
    })
    const [first, second, ...more] = compiled
    if (first === undefined) return () => true
    if (second === undefined) return first
    if (more.length === 0) return (world) => first(world) && second(world)
    return (world) => compiled.every((condition) => condition(world))
  }
}

function inOrder<T extends { readonly index: number }>(some: readonly T[]): readonly T[] {
  return some.length < 2 ? some : some.toSorted((a, b) => a.index - b.index)
}
