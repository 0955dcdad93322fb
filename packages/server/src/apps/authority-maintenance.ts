/** What an authority does by itself: lease, heartbeats, key slots, delegation, its own certificate, what others publish. */

import type { StalenessLimits } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import { nowSeconds } from '../authority/context.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { Lease, LeaseEntry } from '../authority/lease.ts'
import type { OwnIdentity } from './authority-identity.ts'
import type { OpenedTrust } from './authority-trust.ts'

export interface Maintenance extends Pick<OpenedTrust, 'slots' | 'publisher' | 'audience' | 'delegateAgain'> {
  readonly context: AuthorityContext
  readonly lease: Lease
  /** What the others on the store are told of us. */
  readonly entry: () => Promise<LeaseEntry>
  readonly own: OwnIdentity
  /** How long receivers rely on a heartbeat. */
  readonly staleness: StalenessLimits
  /** The own certificate is new. */
  readonly onOwnCertificate: () => void
  readonly onDelegationDue: () => void
  /** Told of what failed; it is tried again with the next beat. */
  readonly onProblem: (error: unknown) => void
}

const slowestBeatMilliseconds = 5000
/** The delegation is looked at once an hour. */
const delegationMilliseconds = 3_600_000
/** So many heartbeats fit into the time of full service: two may be lost. */
const beatsOfFullService = 3

/** Beats until the signal aborts. Never rejects. A task that fails does not keep the others from running. */
export async function maintain(maintenance: Maintenance, signal: AbortSignal): Promise<void> {
  const { fullSeconds } = maintenance.staleness
  const beatMilliseconds = Math.min(slowestBeatMilliseconds, (fullSeconds * 1000) / beatsOfFullService)
  const delegationBeats = Math.ceil(delegationMilliseconds / beatMilliseconds)
  for (let beat = 1; !signal.aborted; beat++) {
    await timerSleep(beatMilliseconds, signal)
    if (signal.aborted) return
    for (const task of tasks(maintenance, beat % delegationBeats === 0)) await task().catch(maintenance.onProblem)
  }
}

function tasks(maintenance: Maintenance, delegationToo: boolean): readonly (() => Promise<void>)[] {
  const { context, slots, publisher, own, onOwnCertificate, lease, entry } = maintenance
  return [
    async () => lease.renew(await entry()),
    () => publisher.beat(),
    async () => {
      if (await slots.advance(nowSeconds(context))) await publisher.publish()
    },
    async () => {
      if (!own.isDue()) return
      await own.renew()
      onOwnCertificate()
    },
    async () => {
      if (delegationToo) await renewDelegation(maintenance)
    },
  ]
}

const followMilliseconds = 500

/** Takes up what other authorities have published, and tells them what our followers have acknowledged. Never rejects. */
export async function followStore(maintenance: Maintenance, signal: AbortSignal): Promise<void> {
  const { context, publisher, audience, onProblem } = maintenance
  while (!signal.aborted) {
    await timerSleep(followMilliseconds, signal)
    if (signal.aborted) return
    try {
      await publisher.adopt()
      if (publisher.current().state.delegation > publisher.delegation.stored.version) await renewDelegation(maintenance)
      const acks = audience.takeFresh()
      if (acks.length > 0) await context.store.acks.put(acks.map((ack) => ({ ...ack, authority: context.name })))
    } catch (error) {
      onProblem(error)
    }
  }
}

async function renewDelegation({ publisher, delegateAgain, onDelegationDue }: Maintenance): Promise<void> {
  const held = await delegateAgain()
  if (held.due) onDelegationDue()
  if (held.stored.version === publisher.delegation.stored.version) return
  publisher.useDelegation(held)
  await publisher.publish()
}
