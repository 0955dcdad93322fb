/** When to renew and how to retry. Pure. */

import { epochMillis, toMillis } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import { issuedAt } from './svid.ts'
import type { Svid } from './svid.ts'

export interface RenewalPlan {
  /** Half-life of the SVID, ± 10 %. */
  readonly renewAt: EpochMillis
  /** Whoever has not renewed at three quarters of the lifetime has a problem that somebody should look at. */
  readonly lateAt: EpochMillis
  readonly expiresAt: EpochMillis
  /** Backoff between failed attempts: at least five attempts fit before expiry. */
  readonly backoff: { readonly first: number; readonly cap: number }
}

const JITTER = 0.1
const LATE = 0.75
const MAX_CAP = 60_000
const MIN_FIRST = 20

/** `chance` in [0, 1) places the moment between 45 % and 55 % of the lifetime. */
export function renewalPlan(svid: Pick<Svid, 'certificate'>, chance: number): RenewalPlan {
  const issued = toMillis(issuedAt(svid))
  const expiresAt = toMillis(svid.certificate.notAfter)
  const half = (expiresAt - issued) / 2
  const renewAt = epochMillis(issued + half * (1 - JITTER + 2 * JITTER * chance))
  const lateAt = epochMillis(issued + LATE * (expiresAt - issued))
  const cap = Math.max(MIN_FIRST, Math.min(MAX_CAP, (expiresAt - renewAt) / 10))
  return { renewAt, lateAt, expiresAt, backoff: { first: Math.max(MIN_FIRST, Math.min(1000, cap / 10)), cap } }
}

/** While nothing valid is held, keep trying: somebody will bring the authority back. */
export const returnBackoff = { first: 500, cap: 30_000 }
