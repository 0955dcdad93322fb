/** `limits.quotas` and the streams of a caller: what they mean, and every mistake in them. */

import {
  isDoorwardError,
  matchesSpiffeId,
  nearestName,
  parsePermission,
  parseSpiffeIdPattern,
  permissionCovers,
} from '@doorward/core'
import type { Action, Resource, SpiffeId, TrustDomain } from '@doorward/core'
import type { QuotaSection } from './limits-schema.ts'
import type { Rate } from './rate.ts'
import type { Configuration } from './schema.ts'

type Covers = (caller: SpiffeId, action: Action, resource: Resource) => boolean

/** A quota of each caller, as the request path asks for it. */
export interface QuotaSettings {
  readonly action: string
  readonly covers: Covers
  readonly rate?: Rate
  readonly concurrent?: number
  readonly concurrentCode?: 'stream_limit'
  readonly bytes?: Rate
}

/** Rates, of calls to servers and to our own API alike. The configuration has been checked by `quotaProblems`. */
export function quotaSettings({ limits }: Configuration): readonly QuotaSettings[] {
  return limits.quotas.flatMap((quota) =>
    quota.per_user === undefined ? [] : [{ action: nameOf(quota), covers: coversOf(quota), rate: quota.per_user }],
  )
}

/** What calls to servers and services take up while they are under way. What keeps a session going takes no place. */
export function callQuotas({ limits, servers, services, agents }: Configuration): readonly QuotaSettings[] {
  const named = new Set([servers, services, agents].flatMap((section) => Object.keys(section)))
  const quotas = limits.quotas.flatMap((quota): readonly QuotaSettings[] => {
    const { concurrent_per_user: concurrent, bytes_per_user: bytes } = quota
    const action = nameOf(quota)
    const covers = coversOf(quota)
    const toServer: Covers = (caller, call, resource) => named.has(resource.server) && covers(caller, call, resource)
    const calls: Covers = (caller, call, resource) => call.group !== 'session' && toServer(caller, call, resource)
    return [
      ...(concurrent === undefined ? [] : [{ action, covers: calls, concurrent }]),
      ...(bytes === undefined ? [] : [{ action, covers: toServer, bytes }]),
    ]
  })
  return [...quotas, streamQuota(limits.streams_per_user, named)]
}

const STREAMS: ReadonlySet<string> = new Set(['subscriptions/listen', 'message/stream', 'tasks/resubscribe'])

function streamQuota(concurrent: number, servers: ReadonlySet<string>): QuotaSettings {
  return {
    action: 'streams',
    covers: (_caller, { name }, { kind, server }) =>
      servers.has(server) && (STREAMS.has(name) || (name === 'GET' && kind === 'server')),
    concurrent,
    concurrentCode: 'stream_limit',
  }
}

/** Two quotas of different callers do not share counters, whatever calls they name. */
function nameOf({ action, workloads }: QuotaSection): string {
  return workloads === undefined ? action : `${action} of ${workloads.join(' ')}`
}

function coversOf({ action, workloads }: QuotaSection): Covers {
  const permission = parsePermission(action)
  const patterns = workloads?.map((text) => parseSpiffeIdPattern(text))
  return (caller, call, resource) =>
    permissionCovers(permission, call, resource) &&
    (patterns === undefined || patterns.some((pattern) => matchesSpiffeId(pattern, caller)))
}

interface QuotaProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

export function quotaProblems(
  { limits, servers, services, agents }: Configuration,
  domain: TrustDomain,
): readonly QuotaProblem[] {
  const names = [servers, services, agents].flatMap((section) => Object.keys(section))
  return limits.quotas.flatMap((quota, index) => {
    const keys = ['limits', 'quotas', index]
    const { action, workloads = [] } = quota
    return [
      ...actionProblems(action, [...keys, 'action'], names),
      ...workloads.flatMap((text, i) => workloadProblems(text, [...keys, 'workloads', i], domain)),
    ]
  })
}

function actionProblems(text: string, keys: QuotaProblem['keys'], servers: readonly string[]): readonly QuotaProblem[] {
  try {
    const { scope } = parsePermission(text)
    if (scope === null || servers.includes(scope.server)) return []
    const near = nearestName(scope.server, servers)
    const expected = near === null ? 'a server of this configuration' : `such as ${near}`
    return [{ keys, message: 'a quota of a server that is not configured', expected, got: scope.server }]
  } catch (error) {
    return [problemOf(error, keys)]
  }
}

function workloadProblems(text: string, keys: QuotaProblem['keys'], domain: TrustDomain): readonly QuotaProblem[] {
  try {
    if (parseSpiffeIdPattern(text).trustDomain === domain) return []
    const message = 'a quota of workloads outside the trust domain'
    return [{ keys, message, expected: `spiffe://${domain}/…`, got: text }]
  } catch (error) {
    return [problemOf(error, keys)]
  }
}

function problemOf(error: unknown, keys: QuotaProblem['keys']): QuotaProblem {
  if (!isDoorwardError(error)) throw error
  return { keys, message: error.message, expected: error.expected ?? null, got: error.got ?? null }
}
