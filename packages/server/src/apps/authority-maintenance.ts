/** What an authority does by itself: lease, heartbeats, key slots, delegation, its own certificate, what others publish. */

import { epochMillis, jwkThumbprint } from '@doorward/core'
import type { StalenessLimits } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import { nowSeconds } from '../authority/context.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { CrlPublisher } from '../authority/crl-publisher.ts'
import { forgetTrustKeys } from '../authority/delegation.ts'
import type { Fitness } from '../authority/fitness.ts'
import type { Lease, LeaseEntry } from '../authority/lease.ts'
import type { OwnIdentity } from './authority-identity.ts'
import type { OpenedTrust } from './authority-trust.ts'

export interface Maintenance extends Pick<
  OpenedTrust,
  'slots' | 'publisher' | 'audience' | 'ceremonies' | 'delegateAgain'
> {
  readonly context: AuthorityContext
  readonly lease: Lease
  readonly fitness: Pick<Fitness, 'clock'>
  readonly crls: CrlPublisher
  /** What the others on the store are told of us. */
  readonly entry: () => Promise<LeaseEntry>
  readonly own: OwnIdentity
  /** How long receivers rely on a heartbeat. */
  readonly staleness: StalenessLimits
  /** The own certificate is new. */
  readonly onOwnCertificate: () => void
  readonly onDelegationDue: () => void
  /** The newest delegation does not name our key, of this thumbprint: nothing is signed until one does. */
  readonly onUnnamed: (thumbprint: string) => void
  /** Version of the delegation that everybody who has to was told of. */
  readonly toldOf: { delegation: number }
  /** Told of what failed; it is tried again with the next beat. */
  readonly onProblem: (error: unknown) => void
}

/** What a turn needs that follows the store. */
export type Following = Omit<Maintenance, 'crls' | 'fitness' | 'staleness'>

const slowestBeatMilliseconds = 5000
/** The delegation is looked at once an hour. */
const delegationMilliseconds = 3_600_000
/** Of followers that have gone nothing is kept for longer. */
const goneMilliseconds = 3_600_000
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
    await keepLease(maintenance).catch(maintenance.onProblem)
    // Keys that are moved by a clock that is wrong could not be moved back.
    if (maintenance.context.unfit() !== null) continue
    for (const task of tasks(maintenance, beat % delegationBeats === 0)) await task().catch(maintenance.onProblem)
  }
}

async function keepLease({ lease, entry, fitness }: Maintenance): Promise<void> {
  await lease.renew(await entry())
  fitness.clock.heardStore(lease.storeAhead)
}

function tasks(maintenance: Maintenance, delegationToo: boolean): readonly (() => Promise<void>)[] {
  const { context, slots, publisher, own } = maintenance
  return [
    () => publisher.beat(),
    async () => {
      if (await slots.advance(nowSeconds(context))) await publisher.publish()
    },
    async () => {
      if (own.isDue()) await renewOwn(maintenance)
    },
    () => maintenance.crls.refresh(),
    async () => {
      // After a sleep of weeks nothing can be signed until there is another.
      const ended = publisher.delegation.stored.expiresAt <= nowSeconds(context)
      if (delegationToo || ended) await renewDelegation(maintenance)
    },
    async () => {
      if (delegationToo) await context.store.revocations.prune(nowSeconds(context))
    },
    async () => {
      if (delegationToo) await context.store.acks.prune(epochMillis(context.clock() - goneMilliseconds))
    },
  ]
}

/** Replaces keys of ours that are denied, and our certificate with them: one state shows it all; true when there is one. */
export async function settleKeys(maintenance: Following): Promise<boolean> {
  const { context, slots, publisher, own } = maintenance
  const changed = await slots.advance(nowSeconds(context))
  const renews = own.isDue()
  if (renews) await renewOwn(maintenance)
  else if (changed) await publisher.publish()
  return renews || changed
}

async function renewOwn({ own, onOwnCertificate }: Following): Promise<void> {
  await own.renew()
  onOwnCertificate()
}

const followMilliseconds = 500
/** While a ceremony is open. */
const ceremonyMilliseconds = 100

/** Takes turns until the signal aborts. Never rejects. */
export async function followStore(maintenance: Maintenance, signal: AbortSignal): Promise<void> {
  let open = false
  while (!signal.aborted) {
    await timerSleep(open ? ceremonyMilliseconds : followMilliseconds, signal)
    if (!signal.aborted) open = await followTurn(maintenance, open)
  }
}

/**
 * Takes up what other authorities have published and what the root has signed, tells them what our followers have
 * acknowledged, and moves an open ceremony on; true while one is open. Never rejects. One failure keeps nothing else back.
 */
export async function followTurn(maintenance: Following, before = false): Promise<boolean> {
  const { context, ceremonies, lease, entry, onProblem } = maintenance
  if (context.unfit() !== null) return before
  const effects = {
    renewCertificate: () => renewOwn(maintenance),
    tellKeys: async () => lease.renew(await entry()),
  }
  await adopt(maintenance).catch(onProblem)
  await followDelegation(maintenance).catch(onProblem)
  await tellAcks(maintenance).catch(onProblem)
  return ceremonies.advance(effects).catch((error: unknown) => {
    onProblem(error)
    return before
  })
}

/** Another authority may have denied a key of ours. */
async function adopt(maintenance: Following): Promise<void> {
  const { publisher } = maintenance
  const adopted = await publisher.adopt()
  if (adopted && publisher.current().state.denied.authorities.length > 0) await settleKeys(maintenance)
}

async function tellAcks({ context, audience }: Following): Promise<void> {
  const acks = audience.takeFresh(context.clock())
  if (acks.length === 0) return
  try {
    await context.store.acks.put(acks.map((ack) => ({ ...ack, authority: context.name })))
  } catch (error) {
    audience.untold()
    throw error
  }
}

async function followDelegation(maintenance: Following): Promise<void> {
  const { context, toldOf } = maintenance
  const newest = await context.store.trust.newestDelegation()
  if (newest !== null && newest.version > toldOf.delegation) await renewDelegation(maintenance)
}

/** The others learn which key we use before anything is signed with it. */
async function renewDelegation(maintenance: Following): Promise<void> {
  const { context, publisher, slots, lease, entry, delegateAgain, onDelegationDue, onUnnamed, toldOf } = maintenance
  const held = await delegateAgain()
  if (held.due) onDelegationDue()
  const { version } = held.stored
  if (version === toldOf.delegation) return
  publisher.useDelegation(held)
  slots.nameChanged(held.key !== null)
  const told = await entry()
  await lease.renew(told)
  if (held.key === null) onUnnamed(told.trustKey === null ? '' : jwkThumbprint(told.trustKey, context.sha256))
  else {
    await forgetTrustKeys(context, held.delegation)
    await publisher.publish()
  }
  toldOf.delegation = version
}
