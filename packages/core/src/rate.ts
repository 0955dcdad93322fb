/** The generic cell rate algorithm (ITU-T I.371): a bucket of `burst` that refills evenly, kept as one number. */

export interface CellRate {
  readonly count: number
  readonly periodSeconds: number
  /** How many may come at once; `count` by default. */
  readonly burst?: number
}

export type CellVerdict =
  /** `arrival` replaces the theoretical arrival time of the key, in milliseconds. */
  { readonly ok: true; readonly arrival: number } | { readonly ok: false; readonly retryAfterSeconds: number }

/**
 * Takes one cell at `now`, or `weight` of them. `arrival` is what the last taken cell returned, undefined for a key never seen; once it
 * lies in the past the key may be forgotten. Both times are milliseconds of one clock that never goes back.
 */
export function takeCell(arrival: number | undefined, now: number, rate: CellRate, weight = 1): CellVerdict {
  const interval = (rate.periodSeconds * 1000) / rate.count
  const next = Math.max(arrival ?? now, now) + interval * weight
  const early = next - now - interval * (rate.burst ?? rate.count)
  // Sums of intervals err by less than a thousandth of a millisecond.
  if (early > 0.001) return { ok: false, retryAfterSeconds: Math.max(1, Math.ceil(early / 1000)) }
  return { ok: true, arrival: next }
}

/** Takes cells that are used up already, whether they were there or not: who owes waits. The new arrival time. */
export function chargeCell(arrival: number | undefined, now: number, rate: CellRate, weight: number): number {
  return Math.max(arrival ?? now, now) + ((rate.periodSeconds * 1000) / rate.count) * weight
}
