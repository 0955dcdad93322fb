/** Who follows the trust state now, and who of them has come as far as a ceremony needs. Pure. */

import { compareStates } from '@doorward/core'
import type { EpochMillis, TrustScope } from '@doorward/core'
import type { StoredAck } from './ports.ts'

/** The first state of each scope that shows what is to be acknowledged. */
export type Marks = Readonly<Record<TrustScope, { readonly delegation: number; readonly sequence: number }>>

export interface Follower {
  readonly id: string
  readonly scope: TrustScope
}

export interface Acknowledged {
  readonly followers: readonly string[]
  readonly stragglers: readonly string[]
}

/** Whoever was heard of since, and whoever is connected here. */
export function acknowledged(
  acks: readonly StoredAck[],
  connected: readonly Follower[],
  { marks, since }: { readonly marks: Marks; readonly since: EpochMillis },
): Acknowledged {
  const there = acks.filter(({ at }) => at >= since)
  const key = ({ id, scope }: Follower) => `${scope} ${id}`
  const followers = new Map<string, Follower>([...there, ...connected].map((one) => [key(one), one]))
  const far = new Set(acks.filter((ack) => compareStates(ack, marks[ack.scope]) !== 'older').map(key))
  const stragglers = [...followers].filter(([name]) => !far.has(name)).map(([, { id }]) => id)
  return { followers: unique([...followers.values()].map(({ id }) => id)), stragglers: unique(stragglers) }
}

function unique(ids: readonly string[]): readonly string[] {
  return [...new Set(ids)].toSorted()
}
