/** The keys that sign certificates and tokens, moved through their slots by the schedule. */

import {
  anchorName,
  anchorTemplate,
  backdatingSeconds,
  buildCertificate,
  DoorwardError,
  epochSeconds,
  hex,
  jwkThumbprint,
  keyIdOf,
  newSerial,
  readCertificate,
} from '@doorward/core'
import type { EpochSeconds, IssuerName, PeerCertificate } from '@doorward/core'
import type { AuthorityContext } from './context.ts'
import type { CustodyKey, KeySlot, SlotPurpose } from './ports.ts'
import { anchorSchedule, nextStep, tokenSchedule } from './slot-schedule.ts'
import type { SlotSchedule, SlotStep } from './slot-schedule.ts'

/** A slot that signs now, with its key. */
export interface ActiveKey {
  readonly slot: KeySlot
  readonly key: CustodyKey
}

export interface ActiveAnchor extends ActiveKey {
  readonly certificate: PeerCertificate
  readonly issuer: IssuerName
}

const schedules: Readonly<Record<SlotPurpose, SlotSchedule>> = { anchor: anchorSchedule, token: tokenSchedule }
const purposes: readonly SlotPurpose[] = ['anchor', 'token']
/** More steps in one go would be a schedule that contradicts itself. */
const MAX_STEPS = 32

export class KeySlots {
  readonly #context: AuthorityContext
  readonly #active = new Map<SlotPurpose, ActiveKey>()
  /** Parsed once: issuing compares every certificate with it. */
  #anchor: ActiveAnchor | null = null

  constructor(context: AuthorityContext) {
    this.#context = context
  }

  /**
   * Takes every step that is due; true when the trust state has to be published again. A step is on record before it
   * is taken. A crash between key and slot leaves a key that nothing names, which `sweep` destroys.
   */
  async advance(now: EpochSeconds): Promise<boolean> {
    let changed = false
    for (const purpose of purposes) {
      for (let steps = 0; ; steps++) {
        const slots = await this.#slots(purpose)
        const due = nextStep(slots, schedules[purpose], now)
        if (due === null) break
        if (steps >= MAX_STEPS) throw new DoorwardError('key_schedule', `the slots of ${purpose} do not settle`)
        await this.#take(purpose, due, now)
        changed = true
      }
      await this.#load(purpose)
    }
    return changed
  }

  /** Destroys keys in custody that no slot names, and those of slots that sign no more. */
  async sweep(): Promise<void> {
    const { store, custody, instance } = this.#context
    const slots = await store.slots.list()
    const needed = new Set(
      slots.filter((slot) => slot.authority === instance && slot.state !== 'retired').map((slot) => slot.keyName),
    )
    for (const name of await custody.names()) {
      const ours = purposes.some((purpose) => name.startsWith(`${purpose}-`))
      if (ours && !needed.has(name)) await custody.destroy(name)
    }
  }

  /** Null while there is no anchor that can sign. */
  anchor(now: EpochSeconds): ActiveAnchor | null {
    return this.#anchor === null || this.#anchor.slot.notAfter <= now ? null : this.#anchor
  }

  /** Null while there is no token key that can sign. */
  tokenKey(now: EpochSeconds): ActiveKey | null {
    const active = this.#active.get('token')
    return active === undefined || active.slot.notAfter <= now ? null : active
  }

  async #slots(purpose: SlotPurpose): Promise<readonly KeySlot[]> {
    const { store, instance } = this.#context
    return (await store.slots.list()).filter((slot) => slot.purpose === purpose && slot.authority === instance)
  }

  async #load(purpose: SlotPurpose): Promise<void> {
    const slot = (await this.#slots(purpose)).find(({ state }) => state === 'active')
    if (slot === undefined) this.#active.delete(purpose)
    else if (this.#active.get(purpose)?.slot.keyId !== slot.keyId) {
      this.#active.set(purpose, { slot, key: await this.#context.custody.need(slot.keyName) })
    }
    if (purpose === 'anchor') this.#anchor = anchorOf(this.#context, this.#active.get(purpose) ?? null)
  }

  async #take(purpose: SlotPurpose, due: SlotStep, now: EpochSeconds): Promise<void> {
    const { store, log, custody } = this.#context
    if (due.step === 'prepare') return this.#prepare(purpose, now)
    const { keyId } = due.slot
    await log.append({ kind: 'trust', body: { change: `${purpose}.${due.step}`, key_id: keyId } })
    switch (due.step) {
      case 'publish':
        await store.slots.publish(keyId, now)
        return
      case 'activate': {
        const before = (await this.#slots(purpose)).filter(({ state }) => state === 'active')
        await store.slots.activate(keyId, now)
        for (const slot of before) await custody.destroy(slot.keyName)
        return
      }
      case 'remove':
        await store.slots.remove(keyId)
        await custody.destroy(due.slot.keyName)
    }
  }

  async #prepare(purpose: SlotPurpose, now: EpochSeconds): Promise<void> {
    const { store, custody, log, random, sha256, instance } = this.#context
    const keyName = `${purpose}-${hex(random(8))}`
    const key = await custody.create(keyName)
    const keyId = purpose === 'anchor' ? keyIdOf(key.jwk, sha256) : jwkThumbprint(key.jwk, sha256)
    const notAfter = epochSeconds(now + schedules[purpose].lifetimeSeconds)
    const certificate = purpose === 'anchor' ? await this.#selfSigned(key, keyId, { now, notAfter }) : null
    await log.append({ kind: 'trust', body: { change: `${purpose}.prepare`, key_id: keyId, not_after: notAfter } })
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
      epoch: (await store.domain.read())?.epoch ?? 1,
      ceremony: null,
      reissue: false,
    }
    await store.slots.prepare(slot)
  }

  #selfSigned(
    key: CustodyKey,
    keyId: string,
    times: { readonly now: EpochSeconds; readonly notAfter: EpochSeconds },
  ): Promise<Uint8Array> {
    const { trustDomain, random } = this.#context
    const template = anchorTemplate({
      trustDomain,
      keyId,
      publicKey: key.publicKey,
      serial: newSerial(random),
      notBefore: epochSeconds(times.now - backdatingSeconds),
      notAfter: times.notAfter,
    })
    return buildCertificate(template, key)
  }
}

function anchorOf({ trustDomain, sha256 }: AuthorityContext, active: ActiveKey | null): ActiveAnchor | null {
  if (active === null || active.slot.certificate === null) return null
  const certificate = readCertificate(active.slot.certificate, { sha256 })
  if ('problem' in certificate)
    throw new DoorwardError('anchor_invalid', `an anchor does not parse: ${certificate.problem}`)
  const { keyId } = active.slot
  return { ...active, certificate, issuer: { name: anchorName(trustDomain, keyId), keyId } }
}
