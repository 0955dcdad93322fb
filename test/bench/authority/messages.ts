/** What the processes of this measurement tell each other. */

import type { RunningAuthority } from '../../../packages/server/src/apps/authority.ts'
import type { Ready } from '../messages.ts'

export interface AuthorityReady extends Ready {
  readonly addresses: RunningAuthority['addresses']
  /** Join tokens of the throw-away workloads. */
  readonly tokens: readonly { readonly id: string; readonly token: string }[]
}

/** A throw-away database. */
export interface BenchDatabase {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

export interface IssuingRequest {
  readonly what: 'renewals' | 'tokens'
  /** Calls under way at once: one of each workload, or one in all, the workloads taking turns. */
  readonly atOnce: 'all' | 'one'
  readonly milliseconds: number
  readonly maximumCalls: number
}
