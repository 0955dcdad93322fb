/** Join states of several instances at once. */

import type { EpochSeconds } from '@doorward/core'
import type { Presentation } from '../../authority/ports.ts'
import { stateHolderOf } from '../authority-rows.ts'
import { afterContact, judgeState } from '../join-states.ts'
import type { StateHolder } from '../join-states.ts'
import { text, whole } from '../row.ts'
import { stateColumns } from './columns.ts'
import type { Transaction } from './transaction.ts'

/** In one order, so that two authorities that come for the same ones do not wait for each other. */
const lock = `SELECT ${stateColumns} FROM instances WHERE instance = ANY($1) ORDER BY instance FOR NO KEY UPDATE`

/** Whoever comes second waits, and sees what the first one did. */
export async function lockInstances(tx: Transaction, names: readonly string[]): Promise<Map<string, StateHolder>> {
  if (names.length === 0) return new Map()
  const rows = (await tx.all(lock, names)).map(stateHolderOf)
  return new Map(rows.map((one) => [one.instance, one]))
}

export interface Contact {
  readonly instance: string
  readonly hash: string | null
  readonly now: EpochSeconds
}

const update = `UPDATE instances
  SET sequence = w.sequence, current = w.current, offered = w.offered, offered_serial = w.offered_serial, seen_at = w.seen_at
  FROM json_to_recordset($1) AS w
    (instance text, sequence bigint, current text, offered text, offered_serial text, seen_at bigint)
  WHERE instances.instance = w.instance`

/** Judges and confirms, as if one had come after the other. */
export async function presentAll(tx: Transaction, contacts: readonly Contact[]): Promise<readonly Presentation[]> {
  const held = await lockInstances(
    tx,
    contacts.map(({ instance }) => instance),
  )
  const changed = new Map<string, StateHolder>()
  const outcomes = contacts.map(({ instance, hash, now }) => {
    const one = changed.get(instance) ?? held.get(instance) ?? null
    const presented = judgeState(one, hash)
    if (one !== null && (presented === 'current' || presented === 'confirmed'))
      changed.set(instance, afterContact(one, presented, now))
    return presented
  })
  if (changed.size > 0) await tx.run(update, JSON.stringify([...changed.values()].map(fieldsOf)))
  return outcomes
}

function fieldsOf({ instance, sequence, current, offered, seenAt }: StateHolder) {
  return {
    instance,
    sequence,
    current,
    offered: offered?.hash ?? null,
    offered_serial: offered?.serial ?? null,
    seen_at: seenAt,
  }
}

const offer = `UPDATE instances
  SET offered = w.hash, offered_serial = w.serial, offers = offers + 1, seen_at = w.now
  FROM json_to_recordset($1) AS w (instance text, hash text, serial text, now bigint)
  WHERE instances.instance = w.instance RETURNING instances.instance, offers`

export interface Offer {
  readonly instance: string
  readonly hash: string
  readonly serial: string
  readonly now: EpochSeconds
}

/** To instances that are locked by `lockInstances` and have no offer; the number of each. */
export async function offerAll(tx: Transaction, offers: readonly Offer[]): Promise<Map<string, number>> {
  if (offers.length === 0) return new Map()
  const rows = await tx.all(offer, JSON.stringify(offers))
  return new Map(rows.map((row) => [text(row, 'instance'), whole(row, 'offers')]))
}
