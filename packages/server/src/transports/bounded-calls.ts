/** How many calls are under way at one server or service, and how long each may take: as the operator says, at any time. */

import type { DenialCode } from '@doorward/enforcement'

/** Null for no bound of its own. Looked at for each call. */
export interface CallBounds {
  readonly concurrent: number | null
  /** For the call and all of its answer. */
  readonly deadlineMilliseconds: number | null
}

interface Bounded {
  fail(code: DenialCode, explanation: string, retryAfterSeconds?: number): void
  onClose(listener: () => void): void
}

export class BoundedCalls {
  readonly #bounds: CallBounds
  #underWay = 0

  constructor(bounds: CallBounds) {
    this.#bounds = bounds
  }

  /** Takes a place until the reply is closed; false when there is none, and its caller has been told. */
  begin(reply: Bounded, onLate: (reason: string) => void): boolean {
    const { concurrent, deadlineMilliseconds } = this.#bounds
    if (concurrent !== null && this.#underWay >= concurrent) {
      reply.fail('upstream_busy', `${concurrent} calls are under way, which is its limit`, 1)
      return false
    }
    this.#underWay++
    const timer =
      deadlineMilliseconds === null
        ? undefined
        : setTimeout(() => onLate(`not all of it within ${deadlineMilliseconds} ms`), deadlineMilliseconds).unref()
    reply.onClose(() => {
      this.#underWay--
      clearTimeout(timer)
    })
    return true
  }
}
