/** How long an export waits before it tries again. Pure. */

const FIRST_MILLISECONDS = 250
export const longestPauseMilliseconds = 60_000

/**
 * Pause after so many failures in a row (from 1): doubles from 250 ms to a minute, and is cut by up to half at random, so
 * that exports do not come back all at once. `chance` is in [0, 1). What the receiver asks for counts where it is longer,
 * for five minutes at most.
 */
export function pauseAfter(failures: number, chance: number, retryAfterMilliseconds: number | null): number {
  const whole = Math.min(longestPauseMilliseconds, FIRST_MILLISECONDS * 2 ** Math.min(failures - 1, 16))
  const asked = Math.min(retryAfterMilliseconds ?? 0, 5 * longestPauseMilliseconds)
  return Math.max(asked, Math.round(whole * (1 - chance / 2)))
}
