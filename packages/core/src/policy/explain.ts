/** Why a call is decided as it is: for each party which policies were looked at, what their clauses saw, and what would have to change. */

import { CallContexts } from './call-context.ts'
import { Call } from './call-world.ts'
import type { CallWorld, Party } from './call-world.ts'
import type { Policy } from './cedar/expression.ts'
import { meets } from './cedar/scope.ts'
import type { CompiledPolicy } from './compile.ts'
import type { DecisionRequest, PolicyVersion, Verdict } from './decision.ts'
import { clausesOf, outcomeOf, seenBy } from './explain-clauses.ts'
import type { ClauseOutcome, SeenValue } from './explain-clauses.ts'
import { constraintText, entityText, expressionText } from './explain-text.ts'
import { PolicyJudge, unknownPart } from './policy-judge.ts'
import { RolesOf } from './roles-of.ts'

/** A part of a policy that did not fit, did not hold, or had no value. */
export interface Shortfall {
  readonly part: 'principal' | 'action' | 'resource' | 'when' | 'unless'
  /** Cedar text of the part. */
  readonly text: string
  readonly saw: readonly SeenValue[]
  /** Why it has no value; null where it has one. */
  readonly error: string | null
}

export interface PolicyAccount {
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  /** `does-not-fit`: its scope is about something else. */
  readonly outcome: 'holds' | 'does-not-hold' | 'fails' | 'does-not-fit'
  /** Empty when it holds, except for a forbid of a denial, where it is what made it hold. */
  readonly parts: readonly Shortfall[]
}

export interface PartyAccount {
  /** SPIFFE ID, or `<issuer>#<subject>`. */
  readonly id: string
  readonly type: 'Workload' | 'User'
  readonly roles: readonly string[]
  readonly decision: 'allow' | 'deny'
  /** Null when allowed. */
  readonly reason: 'none' | 'forbid' | 'error' | null
  /** Those whose scope fits, in the order of the policy. */
  readonly considered: readonly PolicyAccount[]
  /** For a denial because nothing allows it: permits that lack the least, nearest first. */
  readonly nearest: readonly PolicyAccount[]
  /** Roles with which it would be allowed to this party. */
  readonly rolesToBind: readonly string[]
}

export interface Explanation {
  readonly verdict: Verdict
  /** What in the request policy does not know, so that nobody is asked; null otherwise. */
  readonly unknown: string | null
  readonly parties: readonly PartyAccount[]
}

const MAX_NEAREST = 5
const MAX_ROLES = 10

const slots = ['principal', 'action', 'resource'] as const

/** How much is missing: somebody else's permission is nearer than one for something else. */
const weights: Readonly<Record<Shortfall['part'], number>> = {
  principal: 2,
  when: 2,
  unless: 2,
  resource: 3,
  action: 4,
}

/** Explains what a `PolicyJudge` of the same policies decides. `explain` never throws for anything in the request. */
export class PolicyExplainer {
  readonly judge: PolicyJudge
  readonly policies: readonly Policy[]
  readonly #servers: ReadonlySet<string>
  readonly #rolesOf: RolesOf
  readonly #contexts: CallContexts

  constructor(compiled: CompiledPolicy, policies: readonly Policy[], version: PolicyVersion) {
    this.judge = new PolicyJudge(compiled, policies, version)
    this.policies = policies
    this.#servers = compiled.servers
    this.#rolesOf = new RolesOf(compiled.bindings, compiled.subjects)
    this.#contexts = new CallContexts(compiled, policies)
  }

  explain(request: DecisionRequest): Explanation {
    const verdict = this.judge.decide(request)
    const unknown = unknownPart(request, this.#servers)
    const call = unknown === null ? this.callOf(request) : null
    const address = request.context.remoteAddress
    const parties = call?.parties.map((party) => this.#account(party, call.world(party), address)) ?? []
    return { verdict, unknown, parties }
  }

  /** Roles of the presenter. */
  rolesOf({ presenter, roles }: DecisionRequest['principal']): readonly string[] {
    return [...this.#rolesOf.workload(presenter, roles)]
  }

  /** Roles that bindings give to whom a call is for. */
  rolesOfSubject({ subject }: DecisionRequest['principal']): readonly string[] {
    return [...this.#rolesOf.subject(subject)]
  }

  /** Null when the action is not known. */
  callOf(request: DecisionRequest): Call | null {
    return Call.of(request, this.#rolesOf, this.#contexts)
  }

  #account({ uid, roles }: Party, world: CallWorld, address: string): PartyAccount {
    const considered = this.policies
      .filter((policy) => slots.every((slot) => meets(policy[slot], world[slot], world)))
      .map((policy) => accountOf(policy, world, address))
    const holding = (effect: PolicyAccount['effect']) =>
      considered.some((one) => one.effect === effect && one.outcome === 'holds')
    const failed = considered.some(({ outcome }) => outcome === 'fails')
    const reason = failed ? 'error' : holding('forbid') ? 'forbid' : holding('permit') ? null : 'none'
    const lacking = reason === 'none' ? this.#lacking(world, address) : []
    return {
      id: uid.id,
      type: uid.type === 'User' ? 'User' : 'Workload',
      roles: [...roles],
      decision: reason === null ? 'allow' : 'deny',
      reason,
      considered,
      nearest: lacking.slice(0, MAX_NEAREST),
      rolesToBind: rolesFor(lacking, this.policies),
    }
  }

  #lacking(world: CallWorld, address: string): readonly PolicyAccount[] {
    return this.policies
      .filter(({ effect }) => effect === 'permit')
      .map((policy) => ({ policy, distance: distanceOf(policy, world), narrowness: narrownessOf(policy) }))
      .toSorted((a, b) => a.distance - b.distance || b.narrowness - a.narrowness)
      .slice(0, 100)
      .map(({ policy }) => wholeAccount(policy, world, address))
  }
}

function distanceOf(policy: Policy, world: CallWorld): number {
  const scope = slots.filter((slot) => !meets(policy[slot], world[slot], world))
  const clauses = clausesOf(policy).filter((clause) => outcomeOf(clause, world).outcome !== 'holds')
  return [...scope, ...clauses.map(({ kind }) => kind)].reduce((sum, part) => sum + weights[part], 0)
}

const narrowness: Readonly<Record<Policy['resource']['kind'], number>> = { equal: 4, in: 2, is: 1, any: 0 }

/** Of two that lack as much, the one that gives less is the better answer. */
function narrownessOf(policy: Policy): number {
  return narrowness[policy.resource.kind] * 2 + narrowness[policy.action.kind] + clausesOf(policy).length * 2
}

/** As it is decided: the first clause that does not hold ends it. The scope fits. */
function accountOf(policy: Policy, world: CallWorld, address: string): PolicyAccount {
  const { id, effect } = policy
  const outcomes: ClauseOutcome[] = []
  for (const clause of clausesOf(policy)) {
    const one = outcomeOf(clause, world)
    if (one.outcome !== 'holds') {
      return { id, effect, outcome: one.outcome, parts: [partOf(one, world, address)] }
    }
    outcomes.push(one)
  }
  const parts = effect === 'forbid' ? outcomes.map((one) => partOf(one, world, address)) : []
  return { id, effect, outcome: 'holds', parts }
}

/** Everything that is missing, whether it would have been looked at or not. */
function wholeAccount(policy: Policy, world: CallWorld, address: string): PolicyAccount {
  const { id, effect } = policy
  const misfits = slots
    .filter((slot) => !meets(policy[slot], world[slot], world))
    .map((slot): Shortfall => ({
      part: slot,
      text: constraintText(slot, policy[slot]),
      saw: [{ text: slot, value: entityText(world[slot]) }],
      error: null,
    }))
  const lacking = clausesOf(policy)
    .map((clause) => outcomeOf(clause, world))
    .filter(({ outcome }) => outcome !== 'holds')
    .map((one) => partOf(one, world, address))
  const outcome = misfits.length > 0 ? 'does-not-fit' : 'does-not-hold'
  return { id, effect, outcome, parts: [...misfits, ...lacking] }
}

function partOf({ clause, error }: ClauseOutcome, world: CallWorld, address: string): Shortfall {
  const saw = seenBy(clause, world, address)
  return { part: clause.kind, text: expressionText(clause.body), saw, error }
}

/** Of permits that lack nothing but that the party is in one of their roles. */
function rolesFor(lacking: readonly PolicyAccount[], policies: readonly Policy[]): readonly string[] {
  const byId = new Map(policies.map((policy) => [policy.id, policy]))
  const roles = new Set<string>()
  for (const { id, parts } of lacking) {
    const [only, ...more] = parts
    const principal = byId.get(id)?.principal
    if (only?.part !== 'principal' || more.length > 0 || principal?.kind !== 'in') continue
    for (const uid of principal.uids) if (uid.type === 'Role') roles.add(uid.id)
  }
  return [...roles].slice(0, MAX_ROLES)
}
