/** When a certificate is replaced, and when it is tried again after that failed. */

import { epochMillis } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'

export interface Life {
  readonly notBefore: EpochMillis
  readonly notAfter: EpochMillis
}

/** Of the life: what is left when it is due, and how far chance moves that, so that many gateways do not ask together. */
const LEFT = 1 / 3
const SPREAD = 1 / 20

/** `chance` is in [0, 1), the same for as long as the certificate is shown. */
export function dueAt({ notBefore, notAfter }: Life, chance: number): EpochMillis {
  const life = Math.max(0, notAfter - notBefore)
  return epochMillis(notAfter - life * (LEFT + SPREAD * (2 * chance - 1)))
}

/** Authorities count failures by the hour: a fifth one comes after more than one. */
const FIRST_MILLISECONDS = 5 * 60_000
const MOST_MILLISECONDS = 6 * 3_600_000

/** What an authority may ask to wait for at most. */
export const longestRetrySeconds = 7 * 86_400

/** After so many failures in a row, the first of which is 1; not before the authority permits it. */
export function retryMilliseconds(failures: number, chance: number, retryAfterSeconds: number | null): number {
  const backoff = Math.min(FIRST_MILLISECONDS * 2 ** Math.min(failures - 1, 20), MOST_MILLISECONDS)
  return Math.round(Math.max(backoff * (0.9 + chance / 5), (retryAfterSeconds ?? 0) * 1000))
}
