/** Which policies a set of questions has shown at work. */

import { isWritten } from './analysis-written.ts'
import type { Explanation } from './explain.ts'

export interface PolicyUse {
  readonly id: string
  /** Questions in which it held, or failed, for some party. */
  readonly applied: number
  /** Questions that it decided. */
  readonly determined: number
}

export interface CoverageReport {
  /** In the order of the policy; those that nobody has written are left out: `builtin:…`, `role:<role>/session`. */
  readonly policies: readonly PolicyUse[]
  readonly determining: number
  /** Of the policies that some question was decided by; 100 where there are none. One digit after the point, rounded down. */
  readonly percent: number
}

export class PolicyCoverage {
  readonly #applied = new Map<string, number>()
  readonly #determined = new Map<string, number>()

  note({ verdict, parties }: Explanation): void {
    const applied = new Set<string>()
    for (const { considered } of parties)
      for (const { id, outcome } of considered) if (outcome === 'holds' || outcome === 'fails') applied.add(id)
    for (const id of applied) this.#applied.set(id, (this.#applied.get(id) ?? 0) + 1)
    for (const id of new Set(verdict.policies)) this.#determined.set(id, (this.#determined.get(id) ?? 0) + 1)
  }

  report(ids: readonly string[]): CoverageReport {
    const policies = ids
      .filter((id) => isWritten({ id }))
      .map((id) => ({ id, applied: this.#applied.get(id) ?? 0, determined: this.#determined.get(id) ?? 0 }))
    const determining = policies.filter(({ determined }) => determined > 0).length
    const percent = policies.length === 0 ? 100 : Math.floor((determining * 1000) / policies.length) / 10
    return { policies, determining, percent }
  }
}
