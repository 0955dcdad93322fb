/** What a sidecar tells while it runs. What is refused is on its record besides. */

import type { RefusedTimes as RefusedIdentity } from '../workload-api/refusals.ts'
import type { ServedEvent } from '../workload-api/workload-calls.ts'

export type SidecarEvent =
  | {
      readonly type: 'ready'
      /** SPIFFE ID. */
      readonly id: string
      /** Name of its log. */
      readonly record: string
      readonly inbound: { readonly host: string; readonly port: number } | null
      readonly outbound: readonly { readonly at: string; readonly to: string; readonly id: string }[]
    }
  | RefusedTimes
  /** A program was given the identity over the Workload API, or was not. */
  | (Omit<ServedEvent, 'type'> & { readonly type: 'identity_given' })
  | (Omit<RefusedIdentity, 'type'> & { readonly type: 'identity_refused' })
  | { readonly type: 'warning'; readonly code: string; readonly text: string }
  | { readonly type: 'problem'; readonly error: unknown }

/** A call of a local program that was not made, or not carried out. */
export interface RefusedCall {
  readonly type: 'refused'
  readonly code: string
  readonly reason: string
  /** Who asked, as the kernel has it. */
  readonly caller: string
  readonly to: string
}

export interface RefusedTimes extends RefusedCall {
  /** Of the kind since the last word of it. */
  readonly count: number
}
