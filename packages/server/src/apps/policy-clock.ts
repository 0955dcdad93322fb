/** Answers that are under way end when a policy that looks at the time no longer allows them. */

import type { Pipeline } from '@doorward/enforcement'
import { timerSleep } from '@doorward/sdk'
import type { ActivePolicy } from './policy-reload.ts'

export interface PolicyClockParts {
  readonly policy: Pick<ActivePolicy, 'looksAtTime'>
  readonly pipeline: Pick<Pipeline, 'timePassed'> & {
    readonly dependencies: { readonly trust: Pick<Pipeline['dependencies']['trust'], 'now'> }
  }
}

/** Hours and minutes are what policies are written in; `context.time.now` counts from one full minute to the next. */
const MINUTE = 60_000
/** Timers are a little early now and then, and in the minute before everything is still as it was. */
const MARGIN = 20

/** Has everything decided again that is under way, at every full minute of the time of decisions. Runs until the signal aborts; never rejects. */
export async function decideWithTime({ policy, pipeline }: PolicyClockParts, signal: AbortSignal): Promise<void> {
  const { trust } = pipeline.dependencies
  while (!signal.aborted) {
    await timerSleep(MINUTE - (trust.now() % MINUTE) + MARGIN, signal)
    if (!signal.aborted && policy.looksAtTime()) await pipeline.timePassed()
  }
}
