/** How long one TLS connection may last: never longer than the certificates that opened it, and not to its very end. */

import { epochMillis, epochSeconds, toMillis } from '../time.ts'
import type { EpochMillis, EpochSeconds } from '../time.ts'

export interface ConnectionLife {
  /** From here on no new request should begin on it, so that none meets the end. */
  readonly drainsAt: EpochMillis
  /** The earliest `notAfter`; what is still open then is cut. */
  readonly endsAt: EpochMillis
}

const LONGEST_DRAIN = 60_000
const DRAINING_SHARE = 0.1

/** Draining takes the last tenth of what is left, at most a minute. Null when no certificate limits the connection. */
export function connectionLife(notAfter: readonly EpochSeconds[], now: EpochMillis): ConnectionLife | null {
  if (notAfter.length === 0) return null
  const endsAt = toMillis(epochSeconds(Math.min(...notAfter)))
  const drain = Math.min(LONGEST_DRAIN, Math.max(0, endsAt - now) * DRAINING_SHARE)
  return { drainsAt: epochMillis(endsAt - drain), endsAt }
}
