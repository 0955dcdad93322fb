/** Instances of workloads and their join states. */

import type { EpochSeconds, P256Jwk } from '@doorward/core'
import type { Binding, Bound, InstanceStore, Presentation } from '../../authority/ports.ts'
import { instanceOf } from '../authority-rows.ts'
import { anyState, offersSinceCopy } from '../join-states.ts'
import type { StateHolder } from '../join-states.ts'
import { seconds, text, whole } from '../row.ts'
import { instanceColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'
import { denyInstance, serialDenial, writeDenial } from './denials.ts'
import type { Occasion } from './denials.ts'
import { lockInstances, offerAll, presentAll } from './instance-batches.ts'
import type { Contact, Offer } from './instance-batches.ts'
import type { Batch, Transaction } from './transaction.ts'

function keyOf({ x, y }: P256Jwk): string {
  return `${x}.${y}`
}

/** Part of a larger transaction. A key that the same identity has already stays where it is. */
export async function bindInstance(
  tx: Transaction,
  id: string,
  binding: Binding,
): Promise<Bound | 'bound_elsewhere' | null> {
  const registration = await tx.one('SELECT single_instance FROM registrations WHERE id = $1', id)
  if (registration === null) return null
  const { instance, machineKey, attestedBy, now } = binding
  const holder = await tx.one(`SELECT ${instanceColumns} FROM instances WHERE machine_key = $1`, keyOf(machineKey))
  if (holder !== null) {
    const known = instanceOf(holder)
    if (known.id !== id || known.locked !== null) return 'bound_elsewhere'
    return { id, instance: known.instance, replaced: [] }
  }
  const replaced = await replace(tx, id, { ...binding, single: whole(registration, 'single_instance') === 1 })
  await tx.run(
    'INSERT INTO instances (instance, id, jwk, machine_key, attested_by, bound_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $6)',
    instance,
    id,
    JSON.stringify(machineKey),
    keyOf(machineKey),
    attestedBy,
    now,
  )
  return { id, instance, replaced }
}

/** Ends what has to end, so that one more has its place. */
async function replace(
  tx: Transaction,
  id: string,
  { single, limit, reason, now }: Binding & { readonly single: boolean },
): Promise<readonly string[]> {
  const rows = await tx.all(
    `SELECT ${instanceColumns} FROM instances WHERE id = $1 ORDER BY locked_at IS NULL, seen_at, instance`,
    id,
  )
  const earlier = rows.map(instanceOf)
  const crowded = earlier.slice(0, Math.max(0, earlier.length - limit + 1))
  for (const { instance } of crowded) await end(tx, instance, { at: now, reason })
  const kept = single ? earlier.slice(crowded.length).filter(({ locked }) => locked === null) : []
  for (const { instance } of kept) await lockInstance(tx, instance, { at: now, reason })
  return [...crowded.filter(({ locked }) => locked === null), ...kept].map(({ instance }) => instance)
}

async function end(tx: Transaction, instance: string, occasion: Occasion): Promise<boolean> {
  await denyInstance(tx, instance, occasion)
  return (await tx.run('DELETE FROM instances WHERE instance = $1', instance)) === 1
}

/** Part of a larger transaction. */
export async function lockInstance(tx: Transaction, instance: string, occasion: Occasion): Promise<void> {
  await denyInstance(tx, instance, occasion)
  await tx.run(
    'UPDATE instances SET locked_at = $2, locked_reason = $3 WHERE instance = $1',
    instance,
    occasion.at,
    occasion.reason,
  )
}

const find = `SELECT ${instanceColumns} FROM instances WHERE instance = $1`

async function findAlone(tx: Transaction, instance: string): Promise<StateHolder | null> {
  return (await lockInstances(tx, [instance])).get(instance) ?? null
}

export function postgresInstances(database: PostgresDatabase): InstanceStore {
  return {
    bind: (id, binding) => database.write((tx) => bindInstance(tx, id, binding)),
    find: async (instance) => {
      const row = await database.one(find, instance)
      return row === null ? null : instanceOf(row)
    },
    findByKey: async (id, machineKey) => {
      const sql = `SELECT ${instanceColumns} FROM instances WHERE machine_key = $1 AND id = $2`
      const row = await database.one(sql, keyOf(machineKey), id)
      return row === null ? null : instanceOf(row)
    },
    list: async (id) => {
      const sql = `SELECT ${instanceColumns} FROM instances WHERE id = $1 ORDER BY bound_at, instance`
      return (await database.all(sql, id)).map(instanceOf)
    },
    present: (instance, hash, now) => database.writeTogether(presenting, { instance, hash, now }),
    offer: async (instance, { hash, serial }, now) => {
      const next = { instance, hash, serial, now }
      const handed = await database.writeBeside((tx) => offer(tx, next))
      return handed === 'withdraws' ? database.write((tx) => offerInstead(tx, next)) : handed
    },
    lock: (instance, reason, now) =>
      database.write(async (tx) => {
        const held = await findAlone(tx, instance)
        if (held === null || held.locked !== null) return false
        await lockInstance(tx, instance, { at: now, reason })
        return true
      }),
    remove: (instance, reason, now) => database.write((tx) => end(tx, instance, { at: now, reason })),
    forgetStates: () =>
      database.write(async (tx) => {
        const sql =
          'UPDATE instances SET current = $1, offered = NULL, offered_serial = NULL, offers = offers + $2 WHERE locked_at IS NULL'
        await tx.run(sql, anyState, offersSinceCopy)
      }),
  }
}

const presenting: Batch<Contact, Presentation> = { run: presentAll }

/** Withdrawing denies, which nothing that issues may run beside. */
async function offer(tx: Transaction, next: Offer): Promise<number | null | 'withdraws'> {
  const held = await findAlone(tx, next.instance)
  if (held === null || held.locked !== null) return null
  if (held.offered !== null) return 'withdraws'
  return (await offerAll(tx, [next])).get(next.instance) ?? null
}

async function offerInstead(tx: Transaction, next: Offer): Promise<number | null> {
  await withdrawOffer(tx, next.instance, next.now)
  const number = await offer(tx, next)
  return number === 'withdraws' ? null : number
}

/** Part of a larger transaction that runs alone. What was offered may have reached nobody, or somebody else: whoever shows it is refused. */
export async function withdrawOffer(tx: Transaction, instance: string, now: EpochSeconds): Promise<void> {
  const row = await tx.one(
    'SELECT serial, not_after FROM issuance WHERE serial = (SELECT offered_serial FROM instances WHERE instance = $1 AND locked_at IS NULL)',
    instance,
  )
  if (row !== null) {
    const withdrawn = { serial: text(row, 'serial'), notAfter: seconds(row, 'not_after') }
    await writeDenial(tx, serialDenial(withdrawn, { at: now, reason: 'handed out and not confirmed' }))
  }
  await tx.run(
    'UPDATE instances SET offered = NULL, offered_serial = NULL WHERE instance = $1 AND locked_at IS NULL',
    instance,
  )
}
