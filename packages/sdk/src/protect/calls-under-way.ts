/** How many calls a program serves at once: of everybody, and of each caller. Rates do not say: answers may be long. */

import { subjectName } from '@doorward/core'
import type { Principal } from '@doorward/core'
import { CallPlaces, deny } from '@doorward/enforcement'
import type { Denial } from '@doorward/enforcement'

export interface UnderWayLimits {
  readonly all: number
  readonly perCaller: number
}

/** Given back when the answer has ended. */
export interface Place {
  leave(): void
}

const ALL = 'all'
const AGAIN_SECONDS = 1

export class CallsUnderWay {
  readonly #limits: UnderWayLimits
  readonly #places = new CallPlaces()

  constructor(limits: UnderWayLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#places.under(ALL)
  }

  /** `overloaded` when it would be one too many of all, `limit_concurrency` of somebody for whom it is made. */
  enter(principal: Principal): Place | Denial {
    const { all, perCaller } = this.#limits
    if (this.size >= all) return tooMany('overloaded', all)
    const keys = callersOf(principal)
    if (keys.some((key) => this.#places.under(key) >= perCaller)) return tooMany('limit_concurrency', perCaller)
    const taken = [ALL, ...keys]
    for (const key of taken) this.#places.enter(key)
    let left = false
    return {
      leave: () => {
        if (left) return
        left = true
        for (const key of taken) this.#places.leave(key)
      },
    }
  }
}

/** Whoever lets others act has no more places for that, nor has a person by acting through several. */
function callersOf({ presenter, act, subject }: Principal): readonly string[] {
  return [...new Set([presenter.uri, ...act.map(({ uri }) => uri), subjectName(subject)])]
}

function tooMany(code: 'overloaded' | 'limit_concurrency', quota: number): Denial {
  const limit = { name: 'calls', unit: 'concurrent-requests', quota, windowSeconds: null } as const
  return deny(code, `${quota} calls are under way`, { retryAfterSeconds: AGAIN_SECONDS, limit })
}
