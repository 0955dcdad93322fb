/** What a sidecar tells while it runs. What is refused is on its record besides. */

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
