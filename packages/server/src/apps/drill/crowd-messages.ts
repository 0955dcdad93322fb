/** What a drill and the processes of its workloads tell each other. The channel is between processes of one user. */

/** Where a workload calls. */
export interface CrowdGateway {
  readonly url: string
  readonly audience: string
  readonly id: string
}

export interface CrowdMember {
  readonly id: string
  /** Single use. */
  readonly joinString: string
}

export type CrowdOrder =
  | {
      readonly type: 'join'
      readonly folder: string
      readonly members: readonly CrowdMember[]
      readonly gateways: readonly CrowdGateway[]
      readonly authorityUrl: string
    }
  /** Each member calls once in this time, spread evenly; null stops. */
  | { readonly type: 'traffic'; readonly everyMilliseconds: number | null }
  /** Every member is offered these signed trust states. */
  | { readonly type: 'poison'; readonly messages: readonly string[] }
  /** So many calls as fast as they go, nothing tried twice. */
  | { readonly type: 'burst'; readonly calls: number; readonly concurrency: number }
  | { readonly type: 'look' }

export interface Tally {
  readonly succeeded: number
  readonly failed: number
  /** Why, and how often. */
  readonly codes: Readonly<Record<string, number>>
}

export interface MemberLook {
  readonly id: string
  /** Key id of the anchor that its certificate is under. */
  readonly anchor: string
  /** When it got this certificate, in milliseconds since 1970. */
  readonly since: number
}

export type CrowdReport =
  | { readonly type: 'joined'; readonly count: number }
  | { readonly type: 'ready' }
  | { readonly type: 'poisoned'; readonly accepted: number; readonly refused: Readonly<Record<string, number>> }
  | { readonly type: 'burst'; readonly tally: Tally }
  /** The tally is of the traffic since the last look. */
  | { readonly type: 'look'; readonly members: readonly MemberLook[]; readonly tally: Tally }
  | { readonly type: 'failed'; readonly message: string }
