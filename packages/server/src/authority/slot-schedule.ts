/** When a key is prepared, published, activated, retired and removed (reference id CA-2). Pure. */

import { epochSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { isOpen } from './ceremony.ts'
import type { Ceremony } from './ceremony.ts'
import type { KeySlot } from './ports.ts'

export interface SlotSchedule {
  readonly lifetimeSeconds: number
  /** A successor stands published at least so long before it signs, so that everyone has it. */
  readonly publishedSeconds: number
  /** What a retired key has signed lives at most so long. */
  readonly signedLifetimeSeconds: number
}

const DAY = 86_400

/** Seven days; certificates live at most a day. */
export const anchorSchedule: SlotSchedule = {
  lifetimeSeconds: 7 * DAY,
  publishedSeconds: 15,
  signedLifetimeSeconds: DAY,
}
/** Seven days; tokens live five minutes, identities of people an hour, plus leeway. */
export const tokenSchedule: SlotSchedule = {
  lifetimeSeconds: 7 * DAY,
  publishedSeconds: 15,
  signedLifetimeSeconds: 3660,
}

/** Seven days; JWT-SVIDs live five minutes, plus leeway. */
export const jwtSvidSchedule: SlotSchedule = {
  lifetimeSeconds: 7 * DAY,
  publishedSeconds: 15,
  signedLifetimeSeconds: 360,
}

/** What decides, beside their times, which slots may sign. */
export interface SlotStanding {
  /** Key ids that are denied: they neither sign nor verify. */
  readonly denied: ReadonlySet<string>
  /** Keys of an earlier epoch are refused (RV-6). */
  readonly epoch: number
  /** The newest ceremony, open or ended. */
  readonly ceremony: Pick<Ceremony, 'id' | 'kind' | 'stage'> | null
}

export type SlotStep =
  | { readonly step: 'prepare' }
  | { readonly step: 'publish' | 'activate' | 'remove'; readonly slot: KeySlot }

/**
 * The next step for the slots of one purpose and authority, or null when none is due. A successor is prepared at half
 * of the lifetime and signs when a sixth is left, or later when it has not been published long enough. With no key
 * that can sign, everything happens at once. A ceremony moves its own slots; they are looked at only where nothing
 * else can sign.
 */
export function nextStep(
  slots: readonly KeySlot[],
  schedule: SlotSchedule,
  now: EpochSeconds,
  standing: SlotStanding,
): SlotStep | null {
  const { active, successor } = living(slots, now, standing)
  if (successor?.state === 'prepared') return { step: 'publish', slot: successor }
  if (successor?.state === 'published' && activatesAt(active, successor, schedule, now) <= now)
    return { step: 'activate', slot: successor }
  if (successor === null && preparesAt(active, schedule, now) <= now) return { step: 'prepare' }
  const finished = slots.find((slot) => removesAt(slot, schedule, now, standing) <= now)
  return finished === undefined ? null : { step: 'remove', slot: finished }
}

/** What becomes of a slot next, and when, as far as the schedule decides it; null while a ceremony decides. */
export function plannedStep(
  slot: KeySlot,
  slots: readonly KeySlot[],
  schedule: SlotSchedule,
  moment: { readonly now: EpochSeconds; readonly standing: SlotStanding },
): { readonly step: 'publish' | 'activate' | 'retire' | 'remove'; readonly at: EpochSeconds } | null {
  const { now, standing } = moment
  if (slot.state === 'retired' || isDead(slot, now, standing)) {
    const at = removesAt(slot, schedule, now, standing)
    return Number.isFinite(at) ? { step: 'remove', at: epochSeconds(at) } : null
  }
  if (isHeld(slot, standing)) return null
  const { active, successor } = living(slots, now, standing)
  switch (slot.state) {
    case 'prepared':
      return { step: 'publish', at: now }
    case 'published':
      return { step: 'activate', at: activatesAt(active, slot, schedule, now) }
    case 'active':
      return { step: 'retire', at: activatesAt(slot, successor ?? null, schedule, now) }
  }
}

/** Whether the slot neither signs nor verifies any more, whatever its state says. */
export function isDead(slot: KeySlot, now: EpochSeconds, { denied, epoch, ceremony }: SlotStanding): boolean {
  if (slot.notAfter <= now || denied.has(slot.keyId) || slot.epoch < epoch) return true
  // What an ended ceremony has left unused: a later one would not know of it, a failed one does not want it.
  return isUnused(slot) && slot.ceremony !== null && (slot.ceremony !== ceremony?.id || ceremony.stage === 'failed')
}

/** Keys that a recovery replaces are kept until it has shown that nobody accepts them. */
export function isEvidence({ ceremony: own }: Pick<KeySlot, 'ceremony'>, { ceremony }: SlotStanding): boolean {
  return isOpen(ceremony) && ceremony?.kind === 'recover' && own !== ceremony.id
}

function isHeld(slot: KeySlot, { ceremony }: SlotStanding): boolean {
  return isUnused(slot) && isOpen(ceremony) && slot.ceremony === ceremony?.id
}

function isUnused({ state }: KeySlot): boolean {
  return state === 'prepared' || state === 'published'
}

function living(
  slots: readonly KeySlot[],
  now: EpochSeconds,
  standing: SlotStanding,
): { readonly active: KeySlot | null; readonly successor: KeySlot | null } {
  const alive = slots.filter((slot) => !isDead(slot, now, standing))
  const active = alive.find(({ state }) => state === 'active') ?? null
  const unused = alive.filter(isUnused)
  const scheduled = unused.find((slot) => !isHeld(slot, standing))
  return { active, successor: scheduled ?? (active === null ? (unused[0] ?? null) : null) }
}

function preparesAt(active: KeySlot | null, { lifetimeSeconds }: SlotSchedule, now: EpochSeconds): number {
  return active === null ? now : active.notAfter - lifetimeSeconds / 2
}

function activatesAt(
  active: KeySlot | null,
  successor: KeySlot | null,
  { lifetimeSeconds, publishedSeconds }: SlotSchedule,
  now: EpochSeconds,
): EpochSeconds {
  if (active === null) return now
  const publishedAt = successor === null ? 0 : (successor.publishedAt ?? now)
  return epochSeconds(Math.max(active.notAfter - lifetimeSeconds / 6, publishedAt + publishedSeconds))
}

function removesAt(slot: KeySlot, schedule: SlotSchedule, now: EpochSeconds, standing: SlotStanding): number {
  if (slot.state === 'active' || isEvidence(slot, standing)) return Number.POSITIVE_INFINITY
  if (isDead(slot, now, standing)) return now
  if (slot.retiredAt === null) return Number.POSITIVE_INFINITY
  return Math.min(slot.notAfter, slot.retiredAt + schedule.signedLifetimeSeconds)
}
