/**
 * Certificate revocation lists for verifiers that are not ours: one for each anchor in the bundle, signed with the anchor's
 * own key by the authority that has it (reference id RV-7). A list that cannot be signed anew is gone when its time is over.
 */

import { anchorName, buildCrl, isDoorwardError, readCrl } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { isListDue, nextList, revokedUnder } from './crl.ts'
import type { HeldList } from './crl.ts'
import { slotStanding } from './key-slots.ts'
import type { CustodyKey, DeniedCertificate, KeySlot, StoredCrl } from './ports.ts'
import { isDead } from './slot-schedule.ts'

export interface CrlPublisherParts {
  readonly context: AuthorityContext
  /** From one list to the end of its time; it is signed anew at half of that. */
  readonly lifetimeSeconds: number
}

export const defaultCrlSeconds = 3600

export class CrlPublisher {
  readonly #parts: CrlPublisherParts
  #lists: readonly StoredCrl[] = []
  readonly #read = new Map<string, HeldList>()
  #refreshing: Promise<void> | null = null
  #again: Promise<void> | null = null

  constructor(parts: CrlPublisherParts) {
    this.#parts = parts
  }

  /** The lists that are in force, also of other authorities on the store. */
  current(): readonly StoredCrl[] {
    const now = nowSeconds(this.#parts.context)
    return this.#lists.filter(({ nextUpdate }) => now < nextUpdate)
  }

  /** Signs what is due and takes up what others have signed. Calls that come meanwhile share one further round. */
  refresh(): Promise<void> {
    if (this.#refreshing === null) {
      this.#refreshing = this.#round().finally(() => (this.#refreshing = null))
      return this.#refreshing
    }
    this.#again ??= this.#refreshing
      .catch(() => undefined)
      .then(() => {
        this.#again = null
        return this.refresh()
      })
    return this.#again
  }

  async #round(): Promise<void> {
    const { context } = this.#parts
    const { store } = context
    const now = nowSeconds(context)
    const standing = await slotStanding(context, now)
    const slots = (await store.slots.list()).filter(
      (slot) => slot.purpose === 'anchor' && slot.state !== 'prepared' && !isDead(slot, now, standing),
    )
    const held = new Map((await store.crls.list()).map((crl) => [crl.keyId, crl]))
    const own = slots.filter(({ authority }) => authority === context.instance)
    const denied = own.length === 0 ? [] : await store.revocations.certificates(now)
    const problems: unknown[] = []
    for (const slot of own) {
      await this.#sign(slot, held.get(slot.keyId) ?? null, { denied, now }).catch((error: unknown) =>
        problems.push(error),
      )
    }
    const shown = new Set(slots.map(({ keyId }) => keyId))
    for (const keyId of held.keys()) if (!shown.has(keyId)) await this.#forget(keyId)
    this.#lists = (await store.crls.list()).filter(({ keyId }) => shown.has(keyId))
    if (problems.length > 0) throw problems[0]
  }

  async #sign(
    slot: KeySlot,
    stored: StoredCrl | null,
    { denied, now }: { readonly denied: readonly DeniedCertificate[]; readonly now: EpochSeconds },
  ): Promise<void> {
    const { context, lifetimeSeconds } = this.#parts
    const revoked = revokedUnder(slot.keyId, denied, now)
    if (!isListDue(stored === null ? null : this.#heldOf(stored), revoked, now)) return
    const key = context.unfit() === null ? await keyOf(context, slot) : null
    if (key === null) return
    const issuer = { name: anchorName(context.trustDomain, slot.keyId), keyId: slot.keyId }
    const list = nextList({ issuer, notAfter: slot.notAfter }, stored, revoked, { now, lifetimeSeconds })
    if (list.nextUpdate <= now) return
    const number = Number(list.number)
    const body = { change: 'crl', key_id: slot.keyId, number, serials: revoked.length, next_update: list.nextUpdate }
    await context.log.append({ kind: 'trust', body })
    const { thisUpdate, nextUpdate } = list
    const der = await buildCrl(list, key)
    await context.store.crls.put({ keyId: slot.keyId, number, thisUpdate, nextUpdate, der })
  }

  #heldOf(stored: StoredCrl): HeldList | null {
    const known = this.#read.get(stored.keyId)
    if (known?.number === stored.number) return known
    const list = readCrl(stored.der)
    if ('code' in list) return null
    const { number, thisUpdate, nextUpdate } = stored
    const held: HeldList = { number, thisUpdate, nextUpdate, serials: new Set(list.revoked.keys()) }
    this.#read.set(stored.keyId, held)
    return held
  }

  async #forget(keyId: string): Promise<void> {
    this.#read.delete(keyId)
    await this.#parts.context.store.crls.remove(keyId)
  }
}

/** Null where the key was destroyed, as releases before lists were signed did when an anchor retired. */
async function keyOf({ custody }: AuthorityContext, { keyName }: KeySlot): Promise<CustodyKey | null> {
  try {
    return await custody.need(keyName)
  } catch (error) {
    if (isDoorwardError(error, 'key_missing')) return null
    throw error
  }
}
