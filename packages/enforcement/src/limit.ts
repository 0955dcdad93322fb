/** Limits: per address and global before anything is parsed, quotas per principal and action after the decision. */

import type { Authorized } from './authorize.ts'
import { deny } from './denial.ts'
import type { Denial } from './denial.ts'
import type { Inbound } from './inbound.ts'
import type { Rate, RateLimiter, Take } from './ports.ts'

declare const admitted: unique symbol

export interface Admitted<Detail> {
  readonly [admitted]: true
  readonly authorized: Authorized<Detail>
}

export interface ConnectionLimits {
  readonly global: Rate
  /** The rate of an address: that of the named network it lies in, else the general one. */
  readonly perIp: (address: string) => Rate
  /** The key of an address: the address itself, or the /64 of an IPv6 address. */
  readonly ipKey: (address: string) => string
}

/** A quota on calls of one action by one principal. */
export interface Quota {
  /** Action name such as `tools/call`. */
  readonly action: string
  readonly rate: Rate
}

/** Stage 0: after header parsing, before token and body. Null when the request may go on. */
export async function limitArrival(
  inbound: Inbound,
  limiter: RateLimiter,
  limits: ConnectionLimits,
): Promise<Denial | null> {
  const address = inbound.connection.remoteAddress
  try {
    const result = await limiter.take([
      { scope: 'ip', key: limits.ipKey(address), rate: limits.perIp(address) },
      { scope: 'global', key: 'all', rate: limits.global },
    ])
    if (result.ok) return null
    return deny(result.scope === 'global' ? 'limit_global' : 'limit_ip', `limit ${result.scope} for ${address}`, {
      retryAfterSeconds: result.retryAfterSeconds,
    })
  } catch (error) {
    return deny('limits_unavailable', `the limiter failed: ${String(error)}`)
  }
}

/** Stage 4: quotas per principal and action. */
export async function limit<Detail>(
  authorized: Authorized<Detail>,
  limiter: RateLimiter,
  quotas: readonly Quota[],
): Promise<Admitted<Detail> | Denial> {
  const { call, identified } = authorized.classified
  if (quotas.length > 0) {
    const takes: Take[] = []
    for (const quota of quotas) {
      if (quota.action === call.action.name) {
        takes.push({ scope: 'user', key: `${identified.principal.presenter.uri} ${quota.action}`, rate: quota.rate })
      }
    }
    const refusal = takes.length > 0 ? await takeQuotas(authorized, limiter, takes) : null
    if (refusal !== null) return refusal
  }
  return { authorized } as Admitted<Detail>
}

async function takeQuotas<Detail>(
  authorized: Authorized<Detail>,
  limiter: RateLimiter,
  takes: readonly Take[],
): Promise<Denial | null> {
  const { call, identified } = authorized.classified
  const detail = { caller: identified.principal, action: call.action, resource: call.resource, rpcId: call.rpcId }
  try {
    const result = await limiter.take(takes)
    if (result.ok) return null
    return deny('limit_user', `quota of ${call.action.name}`, {
      ...detail,
      retryAfterSeconds: result.retryAfterSeconds,
    })
  } catch (error) {
    return deny('limits_unavailable', `the limiter failed: ${String(error)}`, detail)
  }
}
