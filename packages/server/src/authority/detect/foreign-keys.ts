/**
 * DT-6: anchors and token keys in the store that this authority has not made, although they stand under its name, and
 * authorities that claim its key for trust state. They are denied at once: nobody but a forger has a use for them.
 */

import { epochSeconds } from '@doorward/core'
import type { P256Jwk } from '@doorward/core'
import { nowSeconds } from '../context.ts'
import type { AuthorityContext } from '../context.ts'
import { sameKey } from '../delegation.ts'
import { raiseDetection } from '../detection.ts'
import type { Ledger } from '../ledger.ts'
import type { Denial, KeySlot } from '../ports.ts'

export interface ForeignKeyParts {
  readonly context: AuthorityContext
  readonly ledger: Pick<Ledger, 'hasKey' | 'complete'>
  /** Our key for trust state; null while the delegation names none. */
  readonly trustKey: P256Jwk | null
}

const denialMarginSeconds = 600

/**
 * Denies what is foreign; true when the trust state has to be published again. To be run while no slot is moved. Throws as
 * `raiseDetection`, the store and custody.
 */
export async function denyForeignKeys(parts: ForeignKeyParts): Promise<boolean> {
  const { context } = parts
  const { store } = context
  const now = nowSeconds(context)
  const denied = new Set((await store.denials.list(now)).map(({ value }) => value))
  const impostors = await impostorsOf(parts)
  let changed = false
  for (const slot of await store.slots.list()) {
    if (denied.has(slot.keyId) || slot.notAfter <= now) continue
    const why = impostors.has(slot.authority)
      ? 'its authority claims our key for trust state'
      : await foreign(parts, slot)
    if (why === null) continue
    await raiseDetection(context, {
      detector: 'DT-6',
      subject: slot.keyId,
      detail: `the store has a ${slot.purpose} key that this authority has not made: ${why}; somebody has written to the store, and the key is denied`,
    })
    await store.denials.deny(denialOf(slot, context))
    changed = true
  }
  return changed
}

/** Why a slot under our name is not ours; null when it is, or is another authority's. */
async function foreign({ context, ledger }: ForeignKeyParts, slot: KeySlot): Promise<string | null> {
  if (slot.authority !== context.instance) return null
  const signs = slot.state !== 'retired'
  if (signs && !(await isInCustody(context, slot))) return 'its private part is not in custody'
  return ledger.complete && !ledger.hasKey(slot.keyId) ? 'it is not in the log' : null
}

async function isInCustody({ custody }: AuthorityContext, { keyName, jwk }: KeySlot): Promise<boolean> {
  if (!(await custody.names()).includes(keyName)) return false
  const held = await custody.need(keyName)
  return sameKey(held.jwk, jwk)
}

/** Authorities other than ours with our key. */
async function impostorsOf({ context, trustKey }: ForeignKeyParts): Promise<ReadonlySet<string>> {
  if (trustKey === null) return new Set()
  const entries = await context.store.leases.list(context.clock())
  const claiming = entries.filter(
    ({ instance, trustKey: used, trustKeys }) =>
      instance !== context.instance &&
      [...trustKeys, ...(used === null ? [] : [used])].some((key) => sameKey(key, trustKey)),
  )
  return new Set(claiming.map(({ instance }) => instance))
}

function denialOf({ keyId, notAfter }: KeySlot, context: AuthorityContext): Denial {
  const lapsesAt = epochSeconds(notAfter + denialMarginSeconds)
  const reason = 'not made by its authority'
  return { kind: 'authority', value: keyId, issuedBefore: nowSeconds(context), lapsesAt, reason }
}
