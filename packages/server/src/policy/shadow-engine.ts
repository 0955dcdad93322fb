/** Decides by the active policy, and notes where a candidate would have decided otherwise. */

import type { DecisionRequest, ListVerdict, ShadowVerdict, Verdict } from '@doorward/core'
import type { DecisionPort } from '@doorward/enforcement'
import type { CedarEngine } from './cedar-engine.ts'

export class ShadowEngine implements DecisionPort {
  readonly #active: CedarEngine
  readonly #candidate: CedarEngine

  /** Before the candidate has a policy nothing is compared. */
  constructor(active: CedarEngine, candidate: CedarEngine) {
    this.#active = active
    this.#candidate = candidate
  }

  /** The verdict of the active policy, whatever the candidate says. */
  async decide(request: DecisionRequest): Promise<Verdict> {
    const verdict = await this.#active.decide(request)
    if (this.#candidate.version().sequence === 0) return verdict
    const shadow = await this.#otherwise(request, verdict)
    return shadow === null ? verdict : { ...verdict, shadow }
  }

  list(request: DecisionRequest): Promise<ListVerdict> {
    return this.#active.list(request)
  }

  /** Null where effect and reason are the same. */
  async #otherwise(request: DecisionRequest, verdict: Verdict): Promise<ShadowVerdict | null> {
    const other = await this.#candidateVerdict(request)
    if (other.effect === verdict.effect && other.reason === reasonOf(verdict)) return null
    return other
  }

  async #candidateVerdict(request: DecisionRequest): Promise<ShadowVerdict> {
    try {
      const verdict = await this.#candidate.decide(request)
      const { effect, policies, version } = verdict
      return { effect, reason: reasonOf(verdict), policies, version }
    } catch {
      return { effect: 'deny', reason: 'error', policies: [], version: this.#candidate.version() }
    }
  }
}

function reasonOf(verdict: Verdict): ShadowVerdict['reason'] {
  return verdict.effect === 'allow' ? null : verdict.reason
}
