/** When a key is prepared, published, activated, retired and removed (reference id CA-2). Pure. */

import type { EpochSeconds } from '@doorward/core'
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
/** Seven days; tokens live five minutes, plus leeway. */
export const tokenSchedule: SlotSchedule = {
  lifetimeSeconds: 7 * DAY,
  publishedSeconds: 15,
  signedLifetimeSeconds: 360,
}

export type SlotStep =
  | { readonly step: 'prepare' }
  | { readonly step: 'publish' | 'activate' | 'remove'; readonly slot: KeySlot }

/**
 * The next step for the slots of one purpose and authority, or null when none is due. A successor is prepared at half
 * of the lifetime and signs when a sixth is left, or later when it has not been published long enough. With no key
 * that can sign, everything happens at once.
 */
export function nextStep(slots: readonly KeySlot[], schedule: SlotSchedule, now: EpochSeconds): SlotStep | null {
  const active = slots.find((slot) => slot.state === 'active' && slot.notAfter > now) ?? null
  const successor = slots.find(
    (slot) => (slot.state === 'prepared' || slot.state === 'published') && slot.notAfter > now,
  )
  if (successor?.state === 'prepared') return { step: 'publish', slot: successor }
  if (successor?.state === 'published' && activationDue(active, successor, schedule, now))
    return { step: 'activate', slot: successor }
  if (successor === undefined && (active === null || now >= active.notAfter - schedule.lifetimeSeconds / 2))
    return { step: 'prepare' }
  const finished = slots.find((slot) => removable(slot, schedule, now))
  return finished === undefined ? null : { step: 'remove', slot: finished }
}

function activationDue(active: KeySlot | null, successor: KeySlot, schedule: SlotSchedule, now: EpochSeconds): boolean {
  if (active === null) return true
  const publishedAt = successor.publishedAt ?? now
  return now >= Math.max(active.notAfter - schedule.lifetimeSeconds / 6, publishedAt + schedule.publishedSeconds)
}

function removable(slot: KeySlot, schedule: SlotSchedule, now: EpochSeconds): boolean {
  if (slot.state === 'active') return false
  if (slot.notAfter <= now) return true
  return slot.retiredAt !== null && now >= slot.retiredAt + schedule.signedLifetimeSeconds
}
