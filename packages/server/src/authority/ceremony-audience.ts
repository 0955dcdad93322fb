/** Who follows the trust state now, instance by instance, and who of them has come as far as a ceremony needs. Pure. */

import { compareStates } from '@doorward/core'
import type { EpochMillis, TrustScope } from '@doorward/core'
import type { StoredAck } from './ports.ts'

/** The first state of each scope that shows what is to be acknowledged. */
export type Marks = Readonly<Record<TrustScope, { readonly delegation: number; readonly sequence: number }>>

/** One copy of a workload that follows one scope: of two copies, the one that has heard does not speak for the other. */
export interface Follower {
  readonly id: string
  /** Empty where it is not known. */
  readonly instance: string
  readonly scope: TrustScope
}

export interface Acknowledged {
  /** Ids. */
  readonly followers: readonly string[]
  /** Ids of which an instance has not come so far. */
  readonly stragglers: readonly string[]
  /** The followers, each by itself. */
  readonly each: readonly Follower[]
}

/** Tells followers apart. */
export function followerKey({ id, instance, scope }: Follower): string {
  return `${scope} ${id} ${instance}`
}

/** Whoever was heard of since, and whoever is connected here. */
export function acknowledged(
  acks: readonly StoredAck[],
  connected: readonly Follower[],
  { marks, since }: { readonly marks: Marks; readonly since: EpochMillis },
): Acknowledged {
  const there = acks.filter(({ at }) => at >= since)
  const followers = new Map<string, Follower>([...there, ...connected].map((one) => [followerKey(one), one]))
  const far = new Set(acks.filter((ack) => compareStates(ack, marks[ack.scope]) !== 'older').map(followerKey))
  const stragglers = [...followers].filter(([key]) => !far.has(key)).map(([, { id }]) => id)
  const each = [...followers.values()]
  return { followers: unique(each.map(({ id }) => id)), stragglers: unique(stragglers), each }
}

function unique(ids: readonly string[]): readonly string[] {
  return [...new Set(ids)].toSorted()
}
