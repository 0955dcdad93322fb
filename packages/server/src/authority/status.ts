/** How the authorities of a trust domain stand, as one of them sees it. */

import { compareStates, epochMillis, jwkThumbprint } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { Ceremony } from './ceremony.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { namedAuthorities } from './delegation.ts'
import { slotStanding } from './key-slots.ts'
import type { Alarm, AuthorityEntry, KeySlot, StoredAck, StoredCrl } from './ports.ts'
import { isDead, plannedStep } from './slot-schedule.ts'
import type { SlotStanding } from './slot-schedule.ts'
import { schedules } from './slot-transition.ts'
import { heardMilliseconds } from './trust-audience.ts'
import type { TrustPublisher } from './trust-publisher.ts'

export interface AuthorityStatus {
  readonly trustDomain: string
  /** Name of the authority that answers. */
  readonly self: string
  readonly delegation: {
    readonly version: number
    readonly expiresAt: EpochSeconds
    /** RFC 7638 thumbprints, base64url. */
    readonly keys: readonly string[]
  }
  readonly rootFingerprint: string
  /** The recovery root lies where this authority finds it. */
  readonly rootAtHand: boolean
  readonly sequence: number
  readonly callersSequence: number
  readonly epoch: number
  readonly authorities: readonly AuthorityStanding[]
  /** Milliseconds by which the store's clock is ahead of this authority's. */
  readonly storeAhead: number
  readonly slots: readonly SlotStatus[]
  readonly followers: number
  /** The first thousand by name. */
  readonly acks: readonly StoredAck[]
  /** Followers that have not acknowledged the newest state of their scope; the first hundred. */
  readonly stragglers: readonly string[]
  readonly straggling: number
  readonly ceremony: Ceremony | null
  readonly alarms: readonly Alarm[]
  readonly crls: readonly Omit<StoredCrl, 'der'>[]
  readonly workloads: number
  readonly certificates: number
}

export interface AuthorityStanding extends AuthorityEntry {
  /** The delegation in force names its key. */
  readonly delegated: boolean
}

export interface SlotStatus extends Omit<KeySlot, 'jwk' | 'certificate' | 'keyName' | 'authority'> {
  /** Name of the authority; its instance when it is forgotten. */
  readonly owner: string
  /** Expired, denied or of an earlier epoch. */
  readonly dead: boolean
  /** What the schedule does with it next; null while a ceremony decides. */
  readonly next: ReturnType<typeof plannedStep>
}

export interface StatusParts {
  readonly context: AuthorityContext
  readonly publisher: Pick<TrustPublisher, 'current' | 'delegation'>
  readonly rootFingerprint: string
  readonly rootAtHand: () => Promise<boolean>
  readonly storeAhead: () => number
}

const MAX_ACKS = 1000
const MAX_NAMED = 100
const MAX_ALARMS = 100

export async function statusOf(parts: StatusParts): Promise<AuthorityStatus> {
  const { context, publisher } = parts
  const { store, clock, sha256 } = context
  const { state, callers } = publisher.current()
  const { stored, delegation } = publisher.delegation
  const now = nowSeconds(context)
  const entries = await store.leases.list(clock())
  const { instances } = await namedAuthorities(context, delegation)
  const standing = await slotStanding(context, now)
  const acks = await store.acks.list()
  const heard = acks.filter(({ at }) => at >= epochMillis(clock() - heardMilliseconds))
  const newest = { full: state, callers: callers.state }
  const behind = heard.filter((ack) => compareStates(ack, newest[ack.scope]) === 'older')
  const late = [...new Set(behind.map(({ id }) => id))]
  return {
    trustDomain: state.trustDomain,
    self: context.name,
    delegation: {
      version: stored.version,
      expiresAt: stored.expiresAt,
      keys: delegation.keys.map((key) => jwkThumbprint(key, sha256)),
    },
    rootFingerprint: parts.rootFingerprint,
    rootAtHand: await parts.rootAtHand(),
    sequence: state.sequence,
    callersSequence: callers.state.sequence,
    epoch: state.epoch,
    authorities: entries.map((entry) => ({ ...entry, delegated: instances.has(entry.instance) })),
    storeAhead: parts.storeAhead(),
    slots: slotStatuses(await store.slots.list(), { entries, now, standing }),
    followers: new Set(heard.map(({ id }) => id)).size,
    acks: acks.slice(0, MAX_ACKS),
    stragglers: late.slice(0, MAX_NAMED),
    straggling: late.length,
    ceremony: await store.ceremonies.newest(),
    alarms: (await store.alarms.list()).slice(0, MAX_ALARMS),
    crls: (await store.crls.list()).map(({ keyId, number, thisUpdate, nextUpdate }) => ({
      keyId,
      number,
      thisUpdate,
      nextUpdate,
    })),
    workloads: state.workloads.length,
    certificates: state.issued.length,
  }
}

function slotStatuses(
  slots: readonly KeySlot[],
  {
    entries,
    now,
    standing,
  }: { readonly entries: readonly AuthorityEntry[]; readonly now: EpochSeconds; readonly standing: SlotStanding },
): readonly SlotStatus[] {
  return slots.map((slot) => {
    const { purpose, keyId, authority, state, notAfter, preparedAt, publishedAt, activatedAt, retiredAt } = slot
    const beside = slots.filter((one) => one.purpose === purpose && one.authority === authority)
    return {
      purpose,
      keyId,
      state,
      notAfter,
      preparedAt,
      publishedAt,
      activatedAt,
      retiredAt,
      epoch: slot.epoch,
      ceremony: slot.ceremony,
      reissue: slot.reissue,
      owner: entries.find(({ instance }) => instance === authority)?.name ?? authority,
      dead: isDead(slot, now, standing),
      next: plannedStep(slot, beside, schedules[purpose], { now, standing }),
    }
  })
}
