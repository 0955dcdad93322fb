/** The limit per user, and what remains of it while the authority is out of reach. */

import { freshness, subjectName } from '@doorward/core'
import type { Principal, StalenessLimits } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial } from './denial.ts'
import { exhausted } from './exhausted.ts'
import type { KnownIdentities } from './known-identities.ts'
import type { Rate, RateLimiter, Take, TrustSource } from './ports.ts'

export interface UserLimitParts {
  readonly trust: TrustSource
  readonly limiter: RateLimiter
  readonly known: KnownIdentities
  readonly settings: { readonly staleness: StalenessLimits; readonly perUser: Rate }
}

const REDUCED_DIVISOR = 10

/** `name` is whose limit it is; null when the request may go on. */
export async function takeUser(
  name: string,
  caller: NonNullable<Denial['caller']>,
  { settings, trust, limiter, known }: UserLimitParts,
): Promise<Denial | null> {
  const takes: Take[] = [{ scope: 'user', key: name, rate: settings.perUser }]
  switch (freshness(trust.ageSeconds(), settings.staleness)) {
    case 'fresh':
      break
    case 'reduced':
      if (!known.has(name))
        return deny('trust_stale', 'the trust state is old and this identity is not known yet', { caller })
      takes.push({ scope: 'reduced', key: name, rate: reduced(settings.perUser) })
      break
    case 'stale':
      return deny('trust_stale', `the trust state was last confirmed ${Math.round(trust.ageSeconds())} s ago`, {
        caller,
      })
  }
  try {
    const result = await limiter.take(takes)
    if (result.ok) return null
    const code = result.scope === 'reduced' ? 'trust_reduced' : 'limit_user'
    return deny(code, `limit ${result.scope} of ${name}`, { caller, ...exhausted(result, takes) })
  } catch (error) {
    return deny('limits_unavailable', `the limiter failed: ${String(error)}`, { caller })
  }
}

/** A person has the limit of a user as well, whichever workload acts for them. Null for workloads and within the limit. */
export async function takePerson(
  principal: Principal,
  {
    limiter,
    settings: { perUser: rate },
  }: Pick<UserLimitParts, 'limiter'> & { readonly settings: { readonly perUser: Rate } },
): Promise<Denial | null> {
  const { subject } = principal
  if (subject.kind === 'workload') return null
  const key = subjectName(subject)
  const takes: Take[] = [{ scope: 'user', key, rate }]
  try {
    const result = await limiter.take(takes)
    if (result.ok) return null
    return deny('limit_user', `limit user of ${key}`, { caller: principal, ...exhausted(result, takes) })
  } catch (error) {
    return deny('limits_unavailable', `the limiter failed: ${String(error)}`, { caller: principal })
  }
}

function reduced(rate: Rate): Rate {
  return { count: Math.max(1, Math.floor(rate.count / REDUCED_DIVISOR)), periodSeconds: rate.periodSeconds }
}
