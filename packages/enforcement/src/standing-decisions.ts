/** Decisions about answers that are still under way, made again when the policy or the roles of their callers change, or with time. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PolicyVersion } from '@doorward/core'
import { authorize } from './authorize.ts'
import type { Classified } from './classify.ts'
import { isDenial } from './denial.ts'
import type { Identified } from './identify.ts'
import type { OpenCall, OpenCalls } from './open-calls.ts'
import type { DecisionPort, TrustSource, TrustView } from './ports.ts'
import { rolesIn, sameRoles } from './trust-roles.ts'
import type { TrustRoles } from './trust-roles.ts'

export interface StandingDecisionsParts {
  readonly open: OpenCalls
  readonly decisions: DecisionPort
  readonly trust: TrustSource
}

/** So many decisions are made before whatever else waits has its turn; each takes microseconds. */
const DECISIONS_PER_TURN = 32

/**
 * Decides the same request again: action, resource and arguments of the call, roles and time as they are now. What is not
 * allowed any more, or cannot be decided, ends with the code of the decision. Bounded by what is open: a call waits once,
 * however much changes meanwhile.
 */
export class StandingDecisions {
  readonly #parts: StandingDecisionsParts
  readonly #waiting = new Set<OpenCall>()
  /** By which roles each call was allowed last, where that was not the decision of its beginning. */
  readonly #roles = new WeakMap<OpenCall, TrustRoles>()
  #version: PolicyVersion | null = null
  #working: Promise<void> | null = null

  constructor(parts: StandingDecisionsParts) {
    this.#parts = parts
  }

  /** Another policy decides from now on. Resolves when no answer is open that it does not allow; never rejects. */
  policyChanged(version: PolicyVersion): Promise<void> {
    this.#version = version
    return this.timePassed()
  }

  /** As `policyChanged`, because it is later: for a policy that looks at the time. */
  timePassed(): Promise<void> {
    for (const call of this.#parts.open) this.#waiting.add(call)
    return this.#work()
  }

  /** As `policyChanged`, for callers who have other roles in the view than those by which they were allowed. */
  rolesChanged(view: TrustView): Promise<void> {
    for (const call of this.#parts.open) if (this.#hasOtherRoles(call, view)) this.#waiting.add(call)
    return this.#work()
  }

  /** Of a call whose answer begins: policy or roles may have changed between its decision and now. */
  begin(call: OpenCall): void {
    const { policyVersion, classified } = call.authorized
    const view = this.#parts.trust.current()
    const otherPolicy = this.#version !== null && this.#version.sequence !== policyVersion.sequence
    const mayHaveOtherRoles = view !== null && view.generation !== classified.identified.generation
    if (!otherPolicy && !(mayHaveOtherRoles && this.#hasOtherRoles(call, view))) return
    this.#waiting.add(call)
    void this.#work()
  }

  #hasOtherRoles(call: OpenCall, view: TrustView): boolean {
    const { principal } = call.authorized.classified.identified
    return !sameRoles(this.#roles.get(call) ?? principal, rolesIn(view, principal))
  }

  #work(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve()
    this.#working ??= this.#drain()
    return this.#working
  }

  async #drain(): Promise<void> {
    while (this.#waiting.size > 0) {
      await nextTurn()
      let left = DECISIONS_PER_TURN
      for (const call of this.#waiting) {
        // Before the decision: whatever changes during it lets the call wait again.
        this.#waiting.delete(call)
        await this.#decide(call)
        if (--left === 0) break
      }
    }
    this.#working = null
  }

  async #decide(call: OpenCall): Promise<void> {
    const { open, decisions, trust } = this.#parts
    if (!open.has(call)) return
    const classified = withRolesNow(call.authorized.classified, trust.current())
    const decided = await authorize(classified, decisions, trust.now())
    if (isDenial(decided)) return call.forbid(decided)
    this.#roles.set(call, classified.identified.principal)
  }
}

function withRolesNow<Detail>(classified: Classified<Detail>, view: TrustView | null): Classified<Detail> {
  const identified = rolesNow(classified.identified, view)
  return identified === classified.identified ? classified : { ...classified, identified }
}

/**
 * The caller with the roles that the view gives; the very same one where it gives no others. What its credentials are worth
 * is not judged again.
 */
export function rolesNow(identified: Identified, view: TrustView | null): Identified {
  if (view === null || view.generation === identified.generation) return identified
  const { principal } = identified
  const roles = rolesIn(view, principal)
  return sameRoles(principal, roles) ? identified : { ...identified, principal: { ...principal, ...roles } }
}
