/** What a caller is told of a limit that it has used up. */

import type { Denial } from './denial.ts'
import type { Take, TakeResult } from './ports.ts'

/** The limit that refused, and when to come again. `name` is that of its scope by default. */
export function exhausted(
  result: Extract<TakeResult, { readonly ok: false }>,
  takes: readonly Take[],
  name: string = result.scope,
): Pick<Denial, 'retryAfterSeconds' | 'limit'> {
  const { retryAfterSeconds, index, scope } = result
  const rate = takes[index]?.rate
  if (rate === undefined) return { retryAfterSeconds, limit: null }
  const unit = scope === 'bytes' ? 'content-bytes' : 'requests'
  return { retryAfterSeconds, limit: { name, unit, quota: rate.count, windowSeconds: rate.periodSeconds } }
}
