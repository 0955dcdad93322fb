/** Limits: per address and global before anything is parsed, quotas per principal and action after the decision. */

import { isEdgeId, subjectName } from '@doorward/core'
import type { Action, Principal, SpiffeId } from '@doorward/core'
import type { Authorized } from './authorize.ts'
import type { Call } from './classify.ts'
import { CallHold } from './call-hold.ts'
import type { CallPlaces } from './call-hold.ts'
import { deny } from './denial.ts'
import type { Denial } from './denial.ts'
import { exhausted } from './exhausted.ts'
import type { Inbound } from './inbound.ts'
import type { LoadShedding } from './load-shedding.ts'
import type { Rate, RateLimiter, Take } from './ports.ts'
import { quotaCovers } from './quota.ts'
import type { Quota } from './quota.ts'

declare const admitted: unique symbol

export interface Admitted<Detail> {
  readonly [admitted]: true
  readonly authorized: Authorized<Detail>
  /** Whoever carries the call out releases it when the answer has ended; absent where nothing is held. */
  readonly hold?: CallHold
  /** The approval by which the call goes, used up by it; absent where it needs none. */
  readonly approval?: string
}

export interface ConnectionLimits {
  readonly global: Rate
  /** The rate of an address: that of the named network it lies in, else the general one. */
  readonly perIp: (address: string) => Rate
  /** The key of an address: the address itself, or the /64 of an IPv6 address. */
  readonly ipKey: (address: string) => string
  /** Who is not served for now; everybody is by default. */
  readonly load?: Pick<LoadShedding, 'shedsRequest'>
}

const OVERLOAD_SECONDS = 1

/** Stage 0: after header parsing, before token and body. Null when the request may go on. */
export async function limitArrival(
  inbound: Inbound,
  limiter: RateLimiter,
  limits: ConnectionLimits,
): Promise<Denial | null> {
  const address = inbound.connection.remoteAddress
  if (limits.load?.shedsRequest(inbound) === true)
    return deny('overloaded', 'strangers are not served now', { retryAfterSeconds: OVERLOAD_SECONDS })
  try {
    const takes: readonly Take[] = [
      { scope: 'ip', key: limits.ipKey(address), rate: limits.perIp(address) },
      { scope: 'global', key: 'all', rate: limits.global },
    ]
    const result = await limiter.take(takes)
    if (result.ok) return null
    const code = result.scope === 'global' ? 'limit_global' : 'limit_ip'
    return deny(code, `limit ${result.scope} for ${address}`, exhausted(result, takes))
  } catch (error) {
    return deny('limits_unavailable', `the limiter failed: ${String(error)}`)
  }
}

export interface QuotaParts {
  readonly limiter: RateLimiter
  readonly quotas: readonly Quota[]
  /** Of this process; without it nothing is counted that is under way. */
  readonly places?: CallPlaces
}

/** Stage 4: quotas per principal and action. What it admits with a hold must be released. */
export async function limit<Detail>(
  authorized: Authorized<Detail>,
  parts: QuotaParts,
): Promise<Admitted<Detail> | Denial> {
  if (parts.quotas.length === 0) return { authorized } as Admitted<Detail>
  const { call, identified } = authorized.classified
  const quotas = quotasOf(identified.principal, call, parts.quotas)
  if (quotas.length === 0) return { authorized } as Admitted<Detail>
  const hold = await takeQuotas(authorized, { ...parts, quotas })
  if (hold === null) return { authorized } as Admitted<Detail>
  return 'denied' in hold ? hold : ({ authorized, hold } as Admitted<Detail>)
}

/** A quota that is for somebody of the chain, and what it is counted by. */
interface KeyedQuota {
  readonly quota: Quota
  readonly keys: readonly string[]
}

/** Each quota is asked once for each workload, on every call. */
function quotasOf(
  principal: Principal,
  { action, resource }: Pick<Call<unknown>, 'action' | 'resource'>,
  quotas: readonly Quota[],
): readonly KeyedQuota[] {
  const workloads = workloadsOf(principal)
  const keyed: KeyedQuota[] = []
  for (const quota of quotas) {
    const covered = workloads.filter((workload) => quotaCovers(quota, workload, action, resource))
    if (covered.length === 0) continue
    keyed.push({ quota, keys: quotaCallers(principal, covered).map((caller) => `${caller} ${quota.action}`) })
  }
  return keyed
}

/** Places first, which nobody else can take while the counters are asked: they are given back when one refuses. */
async function takeQuotas<Detail>(
  authorized: Authorized<Detail>,
  { limiter, places, quotas }: Pick<QuotaParts, 'limiter' | 'places'> & { readonly quotas: readonly KeyedQuota[] },
): Promise<CallHold | Denial | null> {
  const { call, identified, body } = authorized.classified
  const { principal } = identified
  const { action, resource } = call
  const detail = { caller: principal, action, resource, rpcId: call.rpcId }
  const keys = new Set<string>()
  for (const { quota, keys: own } of quotas) {
    const { concurrent, concurrentCode = 'limit_concurrency', action: name } = quota
    if (places === undefined || concurrent === undefined) continue
    for (const one of own) {
      const key = `${one} ${concurrent}`
      keys.add(key)
      if (places.under(key) < concurrent) continue
      const exceeded = { name, unit: 'concurrent-requests', quota: concurrent, windowSeconds: null } as const
      const told = { ...detail, retryAfterSeconds: 1, limit: exceeded }
      return deny(concurrentCode, `${concurrent} of ${name} under way`, told)
    }
  }
  const { takes, names, bytes } = takesOf(quotas, body.length)
  const hold =
    places === undefined || (keys.size === 0 && bytes.length === 0)
      ? null
      : new CallHold({ places, keys: [...keys], limiter, bytes })
  if (takes.length === 0) return hold
  const refusal = await asked(limiter, { takes, names, detail })
  if (refusal === null) return hold
  hold?.release()
  return refusal
}

interface QuotaTakes {
  readonly takes: readonly Take[]
  /** Of the quotas that the takes are of. */
  readonly names: readonly string[]
  /** Quotas of bytes, as the answer counts against them. */
  readonly bytes: readonly Take[]
}

/** The presenter, and the others of its chain. */
function workloadsOf({ presenter, act, subject }: Principal): readonly SpiffeId[] {
  if (subject.kind === 'user') return [presenter, ...act]
  return subject.id.uri === presenter.uri ? [presenter] : [presenter, ...act, subject.id]
}

/**
 * Each workload of the chain that the quota is for: whoever lets others act has no more for that. A person has each quota as
 * well, whichever workload acts for them. A client at the edge is whatever everybody uses: nobody takes from others by it.
 */
function quotaCallers({ presenter, subject }: Principal, covered: readonly SpiffeId[]): readonly string[] {
  if (isEdgeId(presenter)) return [subjectName(subject)]
  const workloads = covered.map(({ uri }) => uri)
  return subject.kind === 'workload' ? workloads : [...workloads, subjectName(subject)]
}

function takesOf(quotas: readonly KeyedQuota[], requestBytes: number): QuotaTakes {
  const takes: Take[] = []
  const names: string[] = []
  const bytes: Take[] = []
  for (const { quota, keys } of quotas) {
    for (const key of keys) {
      if (quota.rate !== undefined) {
        takes.push({ scope: 'user', key, rate: quota.rate })
        names.push(quota.action)
      }
      if (quota.bytes !== undefined) {
        const take: Take = { scope: 'bytes', key, rate: quota.bytes }
        bytes.push(take)
        takes.push({ ...take, weight: requestBytes })
        names.push(quota.action)
      }
    }
  }
  return { takes, names, bytes }
}

interface Asked extends Pick<QuotaTakes, 'takes' | 'names'> {
  readonly detail: Pick<Denial, 'caller' | 'action' | 'resource' | 'rpcId'> & { readonly action: Action }
}

async function asked(limiter: RateLimiter, { takes, names, detail }: Asked): Promise<Denial | null> {
  try {
    const result = await limiter.take(takes)
    if (result.ok) return null
    const code = result.scope === 'bytes' ? 'limit_bytes' : 'limit_user'
    const told = { ...detail, ...exhausted(result, takes, names[result.index]) }
    return deny(code, `quota of ${names[result.index] ?? detail.action.name}`, told)
  } catch (error) {
    return deny('limits_unavailable', `the limiter failed: ${String(error)}`, detail)
  }
}
