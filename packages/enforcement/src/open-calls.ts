/** Calls whose answers are still under way: looked at again whenever trust changes (reference id RV-4). */

import type { Denial } from './denial.ts'
import type { Identified } from './identify.ts'
import type { TrustView } from './ports.ts'
import { withdrawal } from './withdrawal.ts'

export interface OpenCall {
  readonly identified: Identified
  /** Ends the answer. The call takes itself off, now or later. */
  withdraw(denial: Denial): void
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

  get size(): number {
    return this.#calls.size
  }

  /** Ends the answers to callers whom the view no longer accepts; how many. */
  review(view: TrustView): number {
    return this.#end((call) => withdrawal(call.identified, view))
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
