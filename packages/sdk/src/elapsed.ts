/** Time that passes whatever is done to the clock, and while the machine sleeps. */

import { uptime } from 'node:os'

export interface ElapsedSources {
  /** Milliseconds that never go back; they may stand still while the machine sleeps. Fine, and cheap to read. */
  readonly monotonic: () => number
  /** Milliseconds since the machine was started, sleep included. May be coarse, and dear to read. */
  readonly sinceBoot: () => number
}

/** The machine is not asked whether it has slept more often than this. */
const lookMilliseconds = 50
/** Coarser sources than this are not in use: what they differ by less was no sleep. */
const leastSleepMilliseconds = 1500

/**
 * Milliseconds from any origin that never go back and do not stand still: Linux and macOS stop the monotonic clock of a
 * sleeping machine, and whoever slept must not take an old trust state for a fresh one.
 */
export function elapsedOf({ monotonic, sinceBoot }: ElapsedSources): () => number {
  let slept = 0
  let difference = sinceBoot() - monotonic()
  let looked = monotonic()
  return () => {
    const now = monotonic()
    if (now - looked >= lookMilliseconds) {
      looked = now
      const more = sinceBoot() - now - difference
      if (more >= leastSleepMilliseconds) {
        slept += more
        difference += more
      }
    }
    return now + slept
  }
}

export const systemElapsed = elapsedOf({ monotonic: () => performance.now(), sinceBoot: () => uptime() * 1000 })
