/** Instances of workloads and their join states. */

import type { EpochSeconds, P256Jwk } from '@doorward/core'
import type { Binding, Bound, Instance, InstanceStore, Presentation } from '../../authority/ports.ts'
import { instanceOf, stateHolderOf } from '../authority-rows.ts'
import { afterContact, anyState, judgeState, offersSinceCopy } from '../join-states.ts'
import type { StateHolder } from '../join-states.ts'
import { seconds, whole } from '../row.ts'
import type { SqliteDatabase } from './database.ts'
import { denyInstance, denySerial } from './denials.ts'

function keyOf({ x, y }: P256Jwk): string {
  return `${x}.${y}`
}

/** Part of a larger transaction. A key that the same identity has already stays where it is. */
export function bindInstance(database: SqliteDatabase, id: string, binding: Binding): Bound | 'bound_elsewhere' | null {
  const registration = database.one('SELECT single_instance FROM registrations WHERE id = ?', id)
  if (registration === null) return null
  const { instance, machineKey, attestedBy, now } = binding
  const holder = database.one('SELECT * FROM instances WHERE machine_key = ?', keyOf(machineKey))
  if (holder !== null) {
    const known = instanceOf(holder)
    if (known.id !== id || known.locked !== null) return 'bound_elsewhere'
    return { id, instance: known.instance, replaced: [] }
  }
  const replaced = replace(database, id, { ...binding, single: whole(registration, 'single_instance') === 1 })
  database.run(
    'INSERT INTO instances (instance, id, jwk, machine_key, attested_by, bound_at, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    instance,
    id,
    JSON.stringify(machineKey),
    keyOf(machineKey),
    attestedBy,
    now,
    now,
  )
  return { id, instance, replaced }
}

/** Ends what has to end, so that one more has its place. */
function replace(
  database: SqliteDatabase,
  id: string,
  { single, limit, reason, now }: Binding & { readonly single: boolean },
): readonly string[] {
  const earlier = database
    .all('SELECT * FROM instances WHERE id = ? ORDER BY locked_at IS NULL, seen_at, instance', id)
    .map(instanceOf)
  const crowded = earlier.slice(0, Math.max(0, earlier.length - limit + 1))
  for (const { instance } of crowded) end(database, instance, reason, now)
  const kept = single ? earlier.slice(crowded.length).filter(({ locked }) => locked === null) : []
  for (const { instance } of kept) lockInstance(database, instance, reason, now)
  return [...crowded.filter(({ locked }) => locked === null), ...kept].map(({ instance }) => instance)
}

function end(database: SqliteDatabase, instance: string, reason: string, now: EpochSeconds): boolean {
  denyInstance(database, instance, reason, now)
  return database.run('DELETE FROM instances WHERE instance = ?', instance) === 1
}

/** Part of a larger transaction. */
export function lockInstance(database: SqliteDatabase, instance: string, reason: string, now: EpochSeconds): void {
  denyInstance(database, instance, reason, now)
  database.run('UPDATE instances SET locked_at = ?, locked_reason = ? WHERE instance = ?', now, reason, instance)
}

function find(database: SqliteDatabase, instance: string): Instance | null {
  const row = database.one('SELECT * FROM instances WHERE instance = ?', instance)
  return row === null ? null : instanceOf(row)
}

const statesOf = `SELECT instance, sequence, current, offered, offered_serial, locked_at, locked_reason, seen_at
  FROM instances WHERE instance = ?`

function findStates(database: SqliteDatabase, instance: string): StateHolder | null {
  const row = database.one(statesOf, instance)
  return row === null ? null : stateHolderOf(row)
}

/** Part of a larger transaction. */
export function presentState(
  database: SqliteDatabase,
  instance: string,
  hash: string | null,
  now: EpochSeconds,
): Presentation {
  const held = findStates(database, instance)
  const presented = judgeState(held, hash)
  if (held === null || (presented !== 'current' && presented !== 'confirmed')) return presented
  const { sequence, current, offered, seenAt } = afterContact(held, presented, now)
  database.run(
    'UPDATE instances SET sequence = ?, current = ?, offered = ?, offered_serial = ?, seen_at = ? WHERE instance = ?',
    sequence,
    current,
    offered?.hash ?? null,
    offered?.serial ?? null,
    seenAt,
    instance,
  )
  return presented
}

interface Offer {
  readonly instance: string
  readonly hash: string
  readonly serial: string
  readonly now: EpochSeconds
}

/** Part of a larger transaction. */
export function offerState(database: SqliteDatabase, { instance, hash, serial, now }: Offer): number | null {
  const held = findStates(database, instance)
  if (held === null || held.locked !== null) return null
  if (held.offered !== null) withdraw(database, held.offered.serial, now)
  const row = database.one(
    'UPDATE instances SET offered = ?, offered_serial = ?, offers = offers + 1, seen_at = ? WHERE instance = ? RETURNING offers',
    hash,
    serial,
    now,
    instance,
  )
  return whole(row ?? {}, 'offers')
}

export function sqliteInstances(database: SqliteDatabase): InstanceStore {
  return {
    bind: (id, binding) => database.write(() => bindInstance(database, id, binding)),
    find: (instance) => database.read(() => find(database, instance)),
    findByKey: (id, machineKey) =>
      database.read(() => {
        const row = database.one('SELECT * FROM instances WHERE machine_key = ? AND id = ?', keyOf(machineKey), id)
        return row === null ? null : instanceOf(row)
      }),
    list: (id) =>
      database.read(() =>
        database.all('SELECT * FROM instances WHERE id = ? ORDER BY bound_at, instance', id).map(instanceOf),
      ),
    present: (instance, hash, now) => database.write(() => presentState(database, instance, hash, now)),
    offer: (instance, { hash, serial }, now) =>
      database.write(() => offerState(database, { instance, hash, serial, now })),
    lock: (instance, reason, now) =>
      database.write(() => {
        const held = find(database, instance)
        if (held === null || held.locked !== null) return false
        lockInstance(database, instance, reason, now)
        return true
      }),
    remove: (instance, reason, now) => database.write(() => end(database, instance, reason, now)),
    forgetStates: () =>
      database.write(() => {
        database.run(
          'UPDATE instances SET current = ?, offered = NULL, offered_serial = NULL, offers = offers + ? WHERE locked_at IS NULL',
          anyState,
          offersSinceCopy,
        )
      }),
  }
}

/** It may have reached nobody, or somebody else: whoever shows it is refused. */
function withdraw(database: SqliteDatabase, serial: string, now: EpochSeconds): void {
  const row = database.one('SELECT serial, not_after FROM issuance WHERE serial = ?', serial)
  if (row === null) return
  denySerial(
    database,
    { serial, notAfter: seconds(row, 'not_after') },
    { at: now, reason: 'handed out and not confirmed' },
  )
}
