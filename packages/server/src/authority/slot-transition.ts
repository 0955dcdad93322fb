/** The transitions of one slot (reference id CA-2): each is on record before it is taken, and taken twice changes nothing. */

import {
  anchorTemplate,
  backdatingSeconds,
  buildCertificate,
  epochSeconds,
  hex,
  jwkThumbprint,
  keyIdOf,
  newSerial,
} from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { AuthorityContext } from './context.ts'
import type { CustodyKey, KeySlot, SlotPurpose } from './ports.ts'
import { anchorSchedule, jwtSvidSchedule, tokenSchedule } from './slot-schedule.ts'
import type { SlotSchedule } from './slot-schedule.ts'

export const schedules: Readonly<Record<SlotPurpose, SlotSchedule>> = {
  anchor: anchorSchedule,
  token: tokenSchedule,
  'jwt-svid': jwtSvidSchedule,
}

export interface NewSlot {
  readonly purpose: SlotPurpose
  readonly now: EpochSeconds
  readonly epoch: number
  /** Id of the ceremony that asks for it; null for the schedule. */
  readonly ceremony: string | null
}

/** A crash between key and slot leaves a key that nothing names, which `sweep` destroys. */
export async function prepareSlot(context: AuthorityContext, wanted: NewSlot): Promise<void> {
  const { store, custody, random, sha256, instance } = context
  const { purpose, now, epoch, ceremony } = wanted
  const keyName = `${purpose}-${hex(random(8))}`
  const key = await custody.create(keyName)
  const keyId = purpose === 'anchor' ? keyIdOf(key.jwk, sha256) : jwkThumbprint(key.jwk, sha256)
  const notAfter = epochSeconds(now + schedules[purpose].lifetimeSeconds)
  const certificate = purpose === 'anchor' ? await selfSigned(context, key, { keyId, now, notAfter }) : null
  const slot: KeySlot = {
    purpose,
    keyName,
    keyId,
    authority: instance,
    state: 'prepared',
    jwk: key.jwk,
    certificate,
    notAfter,
    preparedAt: now,
    publishedAt: null,
    activatedAt: null,
    retiredAt: null,
    epoch,
    ceremony,
    reissue: false,
  }
  await enter(context, slot, 'prepare', { not_after: notAfter })
  await store.slots.prepare(slot)
}

export async function publishSlot(context: AuthorityContext, slot: KeySlot, now: EpochSeconds): Promise<void> {
  await enter(context, slot, 'publish')
  await context.store.slots.publish(slot.keyId, now)
}

/** The slot of the same purpose and authority that was active retires with it. */
export async function activateSlot(context: AuthorityContext, slot: KeySlot, now: EpochSeconds): Promise<void> {
  await enter(context, slot, 'activate')
  await context.store.slots.activate(slot.keyId, now)
}

/** Never an active one. Its key is gone for good. */
export async function removeSlot(context: AuthorityContext, slot: KeySlot): Promise<void> {
  await enter(context, slot, 'remove')
  await context.store.slots.remove(slot.keyId)
  await context.custody.destroy(slot.keyName)
}

async function enter(
  { log }: AuthorityContext,
  { purpose, keyId, ceremony }: KeySlot,
  step: string,
  more: object = {},
): Promise<void> {
  const by = ceremony === null ? {} : { ceremony }
  await log.append({ kind: 'trust', body: { change: `${purpose}.${step}`, key_id: keyId, ...by, ...more } })
}

function selfSigned(
  { trustDomain, random }: AuthorityContext,
  key: CustodyKey,
  { keyId, now, notAfter }: { readonly keyId: string; readonly now: EpochSeconds; readonly notAfter: EpochSeconds },
): Promise<Uint8Array> {
  const template = anchorTemplate({
    trustDomain,
    keyId,
    publicKey: key.publicKey,
    serial: newSerial(random),
    notBefore: epochSeconds(now - backdatingSeconds),
    notAfter,
  })
  return buildCertificate(template, key)
}
