/** Who has applied a trust state, as all authorities on the store know it (reference id RV-2). */

import { compareStates, epochMillis } from '@doorward/core'
import { acknowledged, followerKey } from './ceremony-audience.ts'
import type { Follower, Marks } from './ceremony-audience.ts'
import type { AuthorityContext } from './context.ts'
import type { StoredAck } from './ports.ts'
import { heardMilliseconds } from './trust-audience.ts'
import type { TrustAudience } from './trust-audience.ts'

export interface Receivers {
  /** Applied at least the state that was asked for. */
  readonly acknowledged: readonly string[]
  /** Follow, and have not said so. */
  readonly stragglers: readonly string[]
}

export interface ReceiversQuery {
  /** The first state of each scope that shows what matters. */
  readonly marks: Marks
  /** Who must come back, whether connected now or not. */
  readonly expected: readonly Follower[]
}

/**
 * Who has come as far as the marks. Who followed here and has gone is no straggler unless it is expected back: it fences
 * itself when its state is too old.
 */
export async function receivers(
  context: AuthorityContext,
  audience: Pick<TrustAudience, 'connected' | 'acks'>,
  { marks, expected }: ReceiversQuery,
): Promise<Receivers> {
  const connected = [...audience.connected(), ...expected]
  const own = audience.acks().map((ack): StoredAck => ({ ...ack, authority: context.name }))
  const others = (await context.store.acks.list()).filter(({ authority }) => authority !== context.name)
  const known = newest([...own, ...others])
  const here = new Set(connected.map(followerKey))
  const there = known.filter((ack) => ack.authority !== context.name || here.has(followerKey(ack)))
  const since = epochMillis(context.clock() - heardMilliseconds)
  const { followers, stragglers } = acknowledged(there, connected, { marks, since })
  const missing = new Set(stragglers)
  return { acknowledged: followers.filter((id) => !missing.has(id)), stragglers }
}

/** One for each receiver and scope: it may have moved from one authority to another. */
function newest(acks: readonly StoredAck[]): readonly StoredAck[] {
  const latest = new Map<string, StoredAck>()
  for (const ack of acks) {
    const key = followerKey(ack)
    const held = latest.get(key)
    if (
      held === undefined ||
      compareStates(ack, held) === 'newer' ||
      (held.at < ack.at && compareStates(ack, held) === 'same')
    )
      latest.set(key, ack)
  }
  return [...latest.values()]
}
