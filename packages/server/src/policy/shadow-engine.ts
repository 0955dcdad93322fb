/** Decides by the active policy, and notes where a candidate would have decided otherwise. */

import { approversIn } from '@doorward/core'
import type { DecisionRequest, ListVerdict, ShadowVerdict, SomeRequest, Verdict } from '@doorward/core'
import type { DecisionPort } from '@doorward/enforcement'
import type { CedarEngine } from './cedar-engine.ts'

export class ShadowEngine implements DecisionPort {
  readonly #active: DecisionPort
  #candidate: CedarEngine | null = null
  #differences = 0

  constructor(active: DecisionPort) {
    this.#active = active
  }

  /** Calls that the candidate would have decided otherwise. */
  get differences(): number {
    return this.#differences
  }

  /** From now on compares with that one; with null with none. One without a policy is none. */
  compareWith(candidate: CedarEngine | null): void {
    this.#candidate = candidate
    this.#differences = 0
  }

  /** The verdict of the active policy, whatever the candidate says. */
  decide(request: DecisionRequest): Promise<Verdict> {
    const candidate = this.#candidate
    if (candidate === null || candidate.version().sequence === 0) return this.#active.decide(request)
    return this.#decideBoth(request, candidate)
  }

  async #decideBoth(request: DecisionRequest, candidate: CedarEngine): Promise<Verdict> {
    const verdict = await this.#active.decide(request)
    const other = await verdictOf(candidate, request)
    if (isSame(other, verdict)) return verdict
    this.#differences++
    return { ...verdict, shadow: other }
  }

  list(request: DecisionRequest): Promise<ListVerdict> {
    return this.#active.list(request)
  }

  some(request: SomeRequest): Promise<ListVerdict> {
    return this.#active.some(request)
  }
}

async function verdictOf(candidate: CedarEngine, request: DecisionRequest): Promise<ShadowVerdict> {
  try {
    const verdict = await candidate.decide(request)
    const { effect, policies, version } = verdict
    return { effect, reason: reasonOf(verdict), policies, approvals: approvalsOf(verdict), version }
  } catch {
    return { effect: 'deny', reason: 'error', policies: [], approvals: [], version: candidate.version() }
  }
}

function isSame({ effect, reason, approvals = [] }: ShadowVerdict, verdict: Verdict): boolean {
  const asked = new Set(approvalsOf(verdict))
  return (
    effect === verdict.effect &&
    reason === reasonOf(verdict) &&
    approvals.length === asked.size &&
    approvals.every((by) => asked.has(by))
  )
}

function approvalsOf(verdict: Verdict): readonly string[] {
  return verdict.effect === 'allow' ? approversIn(verdict.obligations) : []
}

function reasonOf(verdict: Verdict): ShadowVerdict['reason'] {
  return verdict.effect === 'allow' ? null : verdict.reason
}
