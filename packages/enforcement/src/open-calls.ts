/** Calls whose answers are still under way: looked at again whenever trust changes (reference id RV-4), or the policy. */

import type { Authorized } from './authorize.ts'
import type { Denial } from './denial.ts'
import type { Identified } from './identify.ts'
import type { TrustView } from './ports.ts'
import { withdrawal } from './withdrawal.ts'

/** What ends an answer never throws, and does nothing to one that has ended. The call takes itself off, now or later. */
export interface OpenCall {
  /** What was asked, by whom, and the decision that allowed it. */
  readonly authorized: Authorized<unknown>
  /** The credentials are good no longer: the answer ends here, and may be taken up again with others. */
  withdraw(denial: Denial): void
  /** The call itself is not allowed any more: nothing of its answer is given to anybody, neither here nor later. */
  forbid(denial: Denial): void
}

/** Bounded by what is open: whoever adds a call takes it off when its answer has ended. */
export class OpenCalls {
  readonly #calls = new Set<OpenCall>()

  add(call: OpenCall): void {
    this.#calls.add(call)
  }

  remove(call: OpenCall): void {
    this.#calls.delete(call)
  }

  has(call: OpenCall): boolean {
    return this.#calls.has(call)
  }

  get size(): number {
    return this.#calls.size
  }

  [Symbol.iterator](): Iterator<OpenCall> {
    return this.#calls.values()
  }

  /** Ends the answers to callers whom the view no longer accepts; how many. */
  review(view: TrustView): number {
    return this.#end((call) => withdrawal(call.authorized.classified.identified, view))
  }

  /** Ends the answers against which the judge has something; how many. */
  endWhere(judge: (identified: Identified) => Denial | null): number {
    return this.#end((call) => judge(call.authorized.classified.identified))
  }

  /** Ends all of them. */
  endAll(denial: Denial): number {
    return this.#end(() => denial)
  }

  #end(judge: (call: OpenCall) => Denial | null): number {
    let ended = 0
    for (const call of this.#calls) {
      const denial = judge(call)
      if (denial === null) continue
      call.withdraw(denial)
      ended++
    }
    return ended
  }
}
