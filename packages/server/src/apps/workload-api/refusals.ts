/** What is told of refusals and problems, and what of them is counted together. */

import { isDoorwardError } from '@doorward/core'
import { ToldQuietly } from '../told-quietly.ts'
import type { RefusedEvent } from './workload-calls.ts'

export interface RefusedTimes extends RefusedEvent {
  /** Refused for this reason since the last word of it. */
  readonly count: number
}

export interface ProblemTimes {
  readonly type: 'problem'
  /** The newest of its code. */
  readonly error: unknown
  /** Of its code since the last word of it. */
  readonly count: number
}

type Told = RefusedEvent | { readonly type: 'problem'; readonly error: unknown }

/** One refusal for each program, method and reason; problems by their code, for which refusals leave room. */
export function quietRefusals(report: (event: RefusedTimes | ProblemTimes) => void): ToldQuietly<Told> {
  return new ToldQuietly({
    kindOf,
    othersOf: ({ type }) => `other ${type}`,
    report: (event, count) => report({ ...event, count }),
  })
}

function kindOf(event: Told): string {
  if (event.type === 'refused') return `${event.uid} ${event.method} ${event.reason}`
  return `problem ${isDoorwardError(event.error) ? event.error.code : 'internal'}`
}
