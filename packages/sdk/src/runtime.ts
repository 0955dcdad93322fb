/** Time and chance as the loops of this package see them; tests pass their own. */

import { randomInt } from 'node:crypto'
import type { Clock } from '@doorward/core'
import { systemElapsed } from './elapsed.ts'
import { systemClock } from './platform/clock.ts'

export interface Runtime {
  /** Wall-clock time. */
  readonly wall: Clock
  /** Milliseconds that never go back and do not stand still, from any origin. */
  readonly monotonic: () => number
  /** Uniform in [0, 1): for jitter only, never for keys. */
  readonly chance: () => number
  /** Resolves after `milliseconds`, or at once when the signal is aborted; never rejects. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>
}

/** A sleep on the process's timers. Aborting ends it early. */
export function timerSleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, Math.max(0, milliseconds))
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** Delay before attempt `attempt` (0 is the first retry): exponential from `first` to `cap`, jittered to 50–100 %. */
export function backoffMilliseconds(
  attempt: number,
  limits: { readonly first: number; readonly cap: number },
  chance: number,
): number {
  const full = Math.min(limits.cap, limits.first * 2 ** Math.min(attempt, 30))
  return Math.round(full * (0.5 + chance / 2))
}

const CHANCES = 2 ** 32

/** The machine's clocks, timers and randomness. */
export const systemRuntime: Runtime = {
  wall: systemClock,
  monotonic: systemElapsed,
  chance: () => randomInt(CHANCES) / CHANCES,
  sleep: timerSleep,
}
