/** Quotas of callers: which calls they count, and how many of them, at which rate, with how many bytes. */

import type { Action, Resource, SpiffeId } from '@doorward/core'
import type { DenialCode } from './denial.ts'
import type { Rate } from './ports.ts'

/** Each caller has a quota of its own: counters are kept by the workload that presents the call, and by each that it acts for. */
export interface Quota {
  /** Name of its counters, in visible ASCII: the calls as the operator named them. */
  readonly action: string
  /** Which calls count; those of the action by that name by default. */
  readonly covers?: (caller: SpiffeId, action: Action, resource: Resource) => boolean
  readonly rate?: Rate
  /** Calls under way at once. */
  readonly concurrent?: number
  /** What is told when too many are under way; `limit_concurrency` by default. */
  readonly concurrentCode?: Extract<DenialCode, 'limit_concurrency' | 'stream_limit'>
  /** Bytes of requests and answers. */
  readonly bytes?: Rate
}

/** Whether a quota counts the call. */
export function quotaCovers(quota: Quota, caller: SpiffeId, action: Action, resource: Resource): boolean {
  return quota.covers === undefined ? quota.action === action.name : quota.covers(caller, action, resource)
}
