/** DT-7: what should have been renewed by now and has not been. Told before anything expires (reference id OP-3). */

import { epochSeconds } from '@doorward/core'
import type { EpochSeconds, TrustState } from '@doorward/core'
import type { HeldDelegation } from '../delegation.ts'
import { slotPurposes } from '../key-slots.ts'
import type { IssuedCertificateRow, KeySlot, StoredCrl } from '../ports.ts'
import { nextStep } from '../slot-schedule.ts'
import type { SlotStanding } from '../slot-schedule.ts'
import { schedules } from '../slot-transition.ts'
import type { Finding } from './finding.ts'

/** A step that was due so long ago and was not taken will not be taken by itself. */
const lagSeconds = 60
const MAX_NAMED = 16

/** Steps of the schedule that are overdue, for anchors and token keys. Pure. */
export function overdueSlots(own: readonly KeySlot[], now: EpochSeconds, standing: SlotStanding): readonly Finding[] {
  return slotPurposes.flatMap((purpose) => {
    const slots = own.filter((slot) => slot.purpose === purpose)
    const due = nextStep(slots, schedules[purpose], epochSeconds(now - lagSeconds), standing)
    if (due === null || due.step === 'remove') return []
    const active = slots.find(({ state }) => state === 'active')
    const left = active === undefined ? 'none signs now' : `the present one ends in ${hours(active.notAfter - now)}`
    const detail = `the next ${purpose} key should be ${due.step}d by now and is not: ${left}; see what fails in the log of the authority`
    return [{ detector: 'DT-7', subject: `${purpose} rotation`, detail }]
  })
}

/** The delegation by the recovery root, while it is due. Pure. */
export function dueDelegation(
  { due, stored }: Pick<HeldDelegation, 'due' | 'stored'>,
  now: EpochSeconds,
): readonly Finding[] {
  if (!due) return []
  const detail = `the delegation to the keys for trust state ends in ${hours(stored.expiresAt - now)}: sign the next one with doorward authority delegate, where the recovery root is`
  return [{ detector: 'DT-7', subject: 'delegation', detail }]
}

/** Revocation lists of anchors in use that outsiders do not accept any more. Pure. */
export function staleLists(
  lists: readonly StoredCrl[],
  { anchors }: Pick<TrustState, 'anchors'>,
  now: EpochSeconds,
): readonly Finding[] {
  const used = new Set(anchors.map(({ keyId }) => keyId))
  return lists
    .filter(({ keyId, nextUpdate }) => used.has(keyId) && nextUpdate <= now)
    .map(({ keyId, nextUpdate }) => ({
      detector: 'DT-7',
      subject: `revocation list of ${keyId}`,
      detail: `it ended ${hours(now - nextUpdate)} ago and has not been signed again: who asks it gets no answer that counts`,
    }))
}

/** Certificates past three quarters of their life, of workloads that are here and have none that is newer. Pure. */
export function lateWorkloads(
  late: readonly IssuedCertificateRow[],
  followers: ReadonlySet<string>,
  now: EpochSeconds,
): readonly Finding[] {
  const here = late.filter(({ id }) => followers.has(id))
  const ids = [...new Set(here.map(({ id }) => id))]
  return ids.slice(0, MAX_NAMED).map((id) => {
    const ends = Math.min(...here.filter((row) => row.id === id).map(({ notAfter }) => notAfter))
    const rest = ids.length > MAX_NAMED ? `; ${ids.length - MAX_NAMED} others likewise` : ''
    const detail = `it follows the trust state and has not renewed its certificate, which ends in ${hours(ends - now)}: its renewals fail${rest}`
    return { detector: 'DT-7', subject: id, detail }
  })
}

function hours(seconds: number): string {
  if (seconds >= 172_800) return `${Math.round(seconds / 86_400)} days`
  return seconds >= 7200 ? `${Math.round(seconds / 3600)} h` : `${Math.max(0, Math.round(seconds / 60))} min`
}
