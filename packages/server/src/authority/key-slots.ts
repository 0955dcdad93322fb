/** The keys that sign certificates and tokens, moved through their slots by the schedule and by ceremonies. */

import { anchorName, DoorwardError, readCertificate } from '@doorward/core'
import type { EpochSeconds, IssuerName, PeerCertificate } from '@doorward/core'
import type { Ceremony } from './ceremony.ts'
import type { AuthorityContext } from './context.ts'
import type { CustodyKey, KeySlot, SlotPurpose } from './ports.ts'
import { isDead, isEvidence, nextStep } from './slot-schedule.ts'
import type { SlotStanding, SlotStep } from './slot-schedule.ts'
import { activateSlot, prepareSlot, publishSlot, removeSlot, schedules } from './slot-transition.ts'

/** A slot that signs now, with its key. */
export interface ActiveKey {
  readonly slot: KeySlot
  readonly key: CustodyKey
}

export interface ActiveAnchor extends ActiveKey {
  readonly certificate: PeerCertificate
  readonly issuer: IssuerName
}

export const slotPurposes: readonly SlotPurpose[] = ['anchor', 'token', 'jwt-svid']
/** More steps in one go would be a schedule that contradicts itself. */
const MAX_STEPS = 32

export class KeySlots {
  readonly #context: AuthorityContext
  readonly #active = new Map<SlotPurpose, ActiveKey>()
  /** Parsed once: issuing compares every certificate with it. */
  #anchor: ActiveAnchor | null = null
  #named = true
  #busy: Promise<unknown> = Promise.resolve()

  constructor(context: AuthorityContext) {
    this.#context = context
  }

  /** Takes every step that is due; true when the trust state has to be published again. A denied key ends with the next call. */
  advance(now: EpochSeconds): Promise<boolean> {
    return this.#alone(async () => {
      const standing = await slotStanding(this.#context, now)
      let changed = false
      for (const purpose of slotPurposes) {
        for (let steps = 0; ; steps++) {
          const due = nextStep(await this.#slots(purpose), schedules[purpose], now, standing)
          if (due === null) break
          if (steps >= MAX_STEPS) throw new DoorwardError('key_schedule', `the slots of ${purpose} do not settle`)
          await this.#take(purpose, due, { now, standing })
          changed = true
        }
      }
      await this.#load(now, standing)
      return changed
    })
  }

  /** Makes the slots that a ceremony asks for, where they are missing. */
  prepareFor({ id, epoch }: Pick<Ceremony, 'id' | 'epoch'>, now: EpochSeconds): Promise<void> {
    return this.#alone(async () => {
      for (const purpose of slotPurposes) {
        const held = (await this.#slots(purpose)).some(({ ceremony }) => ceremony === id)
        if (!held) await prepareSlot(this.#context, { purpose, now, epoch, ceremony: id })
      }
    })
  }

  /** Publishes what a ceremony has prepared; true when there was something. */
  publishFor(id: string, now: EpochSeconds): Promise<boolean> {
    return this.#alone(async () => {
      const slots = (await this.#ofCeremony(id)).filter(({ state }) => state === 'prepared')
      for (const slot of slots) await publishSlot(this.#context, slot, now)
      return slots.length > 0
    })
  }

  /**
   * Activates what a ceremony has published. Successors of the schedule are superseded: they have signed nothing and go.
   * True when there was something to activate.
   */
  activateFor(id: string, now: EpochSeconds): Promise<boolean> {
    return this.#alone(async () => {
      const standing = await slotStanding(this.#context, now)
      const slots = (await this.#ofCeremony(id)).filter(({ state }) => state === 'published')
      for (const slot of slots) await this.#activate(slot, { now, standing })
      if (slots.length > 0) await this.#supersede()
      await this.#load(now, standing)
      return slots.length > 0
    })
  }

  /** Takes retired slots of ours out of the bundle before their time; true when there was one. */
  retireNow(keyIds: readonly string[]): Promise<boolean> {
    return this.#alone(async () => {
      const slots = (await this.#context.store.slots.list()).filter(
        ({ keyId, state, authority }) =>
          keyIds.includes(keyId) && state === 'retired' && authority === this.#context.instance,
      )
      for (const slot of slots) await removeSlot(this.#context, slot)
      return slots.length > 0
    })
  }

  /** Destroys keys in custody that no slot names, and those of slots that sign no more. */
  sweep(now: EpochSeconds): Promise<void> {
    return this.#alone(async () => {
      const { store, custody, instance } = this.#context
      const standing = await slotStanding(this.#context, now)
      const signs = (slot: KeySlot) =>
        slot.state !== 'retired' || isEvidence(slot, standing) || signsLists(slot, { now, standing })
      const own = (await store.slots.list()).filter(({ authority }) => authority === instance)
      const needed = new Set(own.filter(signs).map(({ keyName }) => keyName))
      for (const name of await custody.names()) {
        const ours = slotPurposes.some((purpose) => name.startsWith(`${purpose}-`))
        if (ours && !needed.has(name)) await custody.destroy(name)
      }
    })
  }

  /** Runs while no slot is moved. */
  undisturbed<T>(look: () => Promise<T>): Promise<T> {
    return this.#alone(look)
  }

  /** Whether the delegation in force names this authority: else nobody is told of its keys, and they sign nothing. */
  nameChanged(named: boolean): void {
    this.#named = named
  }

  /** Null while there is no anchor that can sign. */
  anchor(now: EpochSeconds): ActiveAnchor | null {
    return this.#anchor !== null && this.#signs(this.#anchor, now) ? this.#anchor : null
  }

  /** Null while there is no token key that can sign. */
  tokenKey(now: EpochSeconds): ActiveKey | null {
    return this.#signing('token', now)
  }

  /** Null while there is no key that can sign JWT-SVIDs. */
  jwtSvidKey(now: EpochSeconds): ActiveKey | null {
    return this.#signing('jwt-svid', now)
  }

  #signing(purpose: SlotPurpose, now: EpochSeconds): ActiveKey | null {
    const active = this.#active.get(purpose)
    return active !== undefined && this.#signs(active, now) ? active : null
  }

  #signs({ slot }: ActiveKey, now: EpochSeconds): boolean {
    return this.#named && slot.notAfter > now
  }

  /** Schedule and ceremonies take turns. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#busy.then(work, work)
    this.#busy = turn.catch(() => undefined)
    return turn
  }

  async #slots(purpose: SlotPurpose): Promise<readonly KeySlot[]> {
    const { store, instance } = this.#context
    return (await store.slots.list()).filter((slot) => slot.purpose === purpose && slot.authority === instance)
  }

  async #ofCeremony(id: string): Promise<readonly KeySlot[]> {
    const slots = await Promise.all(slotPurposes.map((purpose) => this.#slots(purpose)))
    return slots.flat().filter(({ ceremony }) => ceremony === id)
  }

  async #load(now: EpochSeconds, standing: SlotStanding): Promise<void> {
    for (const purpose of slotPurposes) {
      const slot = (await this.#slots(purpose)).find((one) => one.state === 'active' && !isDead(one, now, standing))
      if (slot === undefined) this.#active.delete(purpose)
      else if (this.#active.get(purpose)?.slot.keyId !== slot.keyId)
        this.#active.set(purpose, { slot, key: await this.#context.custody.need(slot.keyName) })
    }
    this.#anchor = anchorOf(this.#context, this.#active.get('anchor') ?? null)
  }

  async #take(purpose: SlotPurpose, due: SlotStep, moment: Moment): Promise<void> {
    const { now, standing } = moment
    switch (due.step) {
      case 'prepare':
        return prepareSlot(this.#context, { purpose, now, epoch: standing.epoch, ceremony: null })
      case 'publish':
        return publishSlot(this.#context, due.slot, now)
      case 'activate':
        return this.#activate(due.slot, moment)
      case 'remove':
        return removeSlot(this.#context, due.slot)
    }
  }

  /**
   * A key that signs no more is destroyed, unless a recovery still has to show that it is refused, or it is the key of
   * an anchor whose revocation list it signs until the slot goes.
   */
  async #activate(slot: KeySlot, { now, standing }: Moment): Promise<void> {
    const before = (await this.#slots(slot.purpose)).filter(({ state }) => state === 'active')
    await activateSlot(this.#context, slot, now)
    const ended = before.filter((one) => !isEvidence(one, standing) && !signsLists(one, { now, standing }))
    for (const { keyName } of ended) await this.#context.custody.destroy(keyName)
  }

  async #supersede(): Promise<void> {
    for (const purpose of slotPurposes) {
      const unused = (await this.#slots(purpose)).filter(
        ({ state, ceremony }) => ceremony === null && (state === 'prepared' || state === 'published'),
      )
      for (const slot of unused) await removeSlot(this.#context, slot)
    }
  }
}

interface Moment {
  readonly now: EpochSeconds
  readonly standing: SlotStanding
}

function signsLists(slot: KeySlot, { now, standing }: Moment): boolean {
  return slot.purpose === 'anchor' && !isDead(slot, now, standing)
}

/** What decides about slots now, for all authorities alike. */
export async function slotStanding({ store }: AuthorityContext, now: EpochSeconds): Promise<SlotStanding> {
  const [domain, denials, ceremony] = await Promise.all([
    store.domain.read(),
    store.denials.list(now),
    store.ceremonies.newest(),
  ])
  const denied = denials.filter(({ kind }) => kind === 'authority').map(({ value }) => value)
  return { denied: new Set(denied), epoch: domain?.epoch ?? 1, ceremony }
}

function anchorOf({ trustDomain, sha256 }: AuthorityContext, active: ActiveKey | null): ActiveAnchor | null {
  if (active === null || active.slot.certificate === null) return null
  const certificate = readCertificate(active.slot.certificate, { sha256 })
  if ('problem' in certificate)
    throw new DoorwardError('anchor_invalid', `an anchor does not parse: ${certificate.problem}`)
  const { keyId } = active.slot
  return { ...active, certificate, issuer: { name: anchorName(trustDomain, keyId), keyId } }
}
