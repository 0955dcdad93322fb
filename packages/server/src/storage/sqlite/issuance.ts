/** Serials from intent to outcome. */

import { backdatingSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type {
  IssuanceIntent,
  IssuanceLimits,
  IssuanceStore,
  Intended,
  NextState,
  ShownState,
} from '../../authority/ports.ts'
import { certificateOf, intentOf } from '../authority-rows.ts'
import { LiveCount } from '../live-count.ts'
import { whole } from '../row.ts'
import type { SqliteDatabase } from './database.ts'
import { denySerial } from './denials.ts'
import { offerState, presentState } from './instances.ts'

/** Whether a certificate for it was ever signed is not known, so the serial is denied for as long as it could live. */
function voidIntent(database: SqliteDatabase, intent: IssuanceIntent, at: EpochSeconds): void {
  database.run("UPDATE issuance SET state = 'void' WHERE serial = ?", intent.serial)
  denySerial(database, intent, { at, reason: 'issuance without outcome' })
}

/** Not released: whether anybody has a certificate for it is not known. */
const unreleased = "state IN ('intended', 'signed')"
const registered = 'id IN (SELECT id FROM registrations)'
/** Neither the serial nor its anchor is denied, and the identity not from a later moment on. */
const undenied = `NOT EXISTS (SELECT 1 FROM denials WHERE kind = 'serial' AND value = issuance.serial)
  AND NOT EXISTS (SELECT 1 FROM denials WHERE kind = 'authority' AND value = issuance.anchor_key_id)
  AND NOT EXISTS (
    SELECT 1 FROM denials WHERE kind = 'identity' AND value = issuance.id AND issued_before > issuance.not_before + ${backdatingSeconds}
  )`

/** What came between the decision to issue and the intent: a renewal is as good as what it renews. */
function isDenied(database: SqliteDatabase, intent: IssuanceIntent): boolean {
  const { instance, predecessor, anchorKeyId } = intent
  const isListed = (kind: string, value: string) =>
    database.one('SELECT 1 FROM denials WHERE kind = ? AND value = ?', kind, value) !== null
  if (isDatedBefore(database, intent) || isListed('authority', anchorKeyId)) return true
  if (predecessor !== null && isListed('serial', predecessor)) return true
  if (instance === null) return false
  const bound = 'SELECT 1 FROM instances WHERE instance = ? AND id = ? AND locked_at IS NULL'
  return database.one(bound, instance, intent.id) === null
}

function isDatedBefore(database: SqliteDatabase, { id, predecessor, notBefore }: IssuanceIntent): boolean {
  const denial = database.one("SELECT issued_before FROM denials WHERE kind = 'identity' AND value = ?", id)
  if (denial === null) return false
  const renewed =
    predecessor === null ? null : database.one('SELECT not_before FROM issuance WHERE serial = ?', predecessor)
  const earliest = renewed === null ? notBefore : Math.min(notBefore, whole(renewed, 'not_before'))
  return earliest + backdatingSeconds < whole(denial, 'issued_before')
}

function countOf(database: SqliteDatabase, sql: string, ...values: readonly (string | number)[]): number {
  return whole(database.one(`SELECT count(*) AS n FROM issuance WHERE ${sql}`, ...values) ?? {}, 'n')
}

function isFull(
  database: SqliteDatabase,
  { id, intendedAt }: IssuanceIntent,
  { limits, live }: { readonly limits: IssuanceLimits; readonly live: LiveCount },
): boolean {
  const own = countOf(database, "id = ? AND not_after > ? AND state <> 'void'", id, intendedAt)
  if (live.isDue(intendedAt, limits.total))
    live.counted(countOf(database, "not_after > ? AND state = 'released'", intendedAt), intendedAt)
  return own >= limits.perIdentity || live.most >= limits.total
}

interface Intending {
  readonly limits: IssuanceLimits
  readonly shown: ShownState | undefined
  readonly live: LiveCount
}

function intend(database: SqliteDatabase, intent: IssuanceIntent, { limits, shown, live }: Intending): Intended {
  const { instance, intendedAt } = intent
  if (shown !== undefined) {
    const presented = presentState(database, instance ?? '', shown.hash, intendedAt)
    if (presented !== 'current' && presented !== 'confirmed') return presented
  }
  if (database.one('SELECT 1 FROM registrations WHERE id = ?', intent.id) === null) return 'unregistered'
  if (isDenied(database, intent)) return 'denied'
  if (isFull(database, intent, { limits, live })) return 'full'
  if (!insert(database, intent)) return 'serial_taken'
  live.add()
  return 'intended'
}

/** False for a serial that was used before. */
function insert(database: SqliteDatabase, intent: IssuanceIntent): boolean {
  const added = database.run(
    `INSERT INTO issuance (serial, id, anchor_key_id, authority, instance, predecessor, public_key_hash, not_before, not_after, intended_at, state)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'intended') ON CONFLICT DO NOTHING`,
    intent.serial,
    intent.id,
    intent.anchorKeyId,
    intent.authority,
    intent.instance,
    intent.predecessor,
    intent.publicKeyHash,
    intent.notBefore,
    intent.notAfter,
    intent.intendedAt,
  )
  return added === 1
}

/** Transactions of a file come one after the other, so whoever has seen one release has seen all before it. */
export const newestMark = 'SELECT coalesce(max(release_mark), 0) AS mark FROM issuance WHERE release_mark IS NOT NULL'
const nextMark = `(${newestMark}) + 1`

function release(database: SqliteDatabase, serial: string): boolean {
  const sql = `UPDATE issuance SET state = 'released', release_mark = ${nextMark} WHERE serial = ? AND state = 'signed' AND ${registered} AND ${undenied}`
  return database.run(sql, serial) === 1
}

/** Nothing else of the transaction may have happened where the instance is locked. */
function handOut(
  database: SqliteDatabase,
  { serial, next, now }: { readonly serial: string; readonly next: NextState; readonly now: EpochSeconds },
): number | 'locked' | 'void' {
  const { instance, hash } = next
  const bound = 'SELECT 1 FROM instances WHERE instance = ? AND locked_at IS NULL'
  if (database.one(bound, instance) === null) return 'locked'
  if (!release(database, serial)) return 'void'
  return offerState(database, { instance, hash, serial, now }) ?? 'locked'
}

const late = `SELECT * FROM issuance AS old
  WHERE state = 'released' AND not_after > ? AND (? - not_before) * 4 > (not_after - not_before) * 3
    AND NOT EXISTS (
      SELECT 1 FROM issuance AS new
      WHERE new.id = old.id AND new.instance IS old.instance AND new.state = 'released' AND new.intended_at > old.intended_at)
  ORDER BY not_after, serial LIMIT ?`

export function sqliteIssuance(database: SqliteDatabase): IssuanceStore {
  const live = new LiveCount()
  return {
    intend: (intent, limits, shown) => database.write(() => intend(database, intent, { limits, shown, live })),
    commit: (serial, fingerprint) =>
      database.write(
        () =>
          database.run(
            `UPDATE issuance SET state = 'signed', fingerprint = ? WHERE serial = ? AND state = 'intended' AND ${registered} AND ${undenied}`,
            fingerprint,
            serial,
          ) === 1,
      ),
    release: (serial) => database.write(() => release(database, serial)),
    handOut: (serial, next, now) => database.write(() => handOut(database, { serial, next, now })),
    void: (serial, at) =>
      database.write(() => {
        const row = database.one(`SELECT * FROM issuance WHERE serial = ? AND ${unreleased}`, serial)
        if (row === null) return false
        voidIntent(database, intentOf(row), at)
        return true
      }),
    open: (authority) =>
      database.read(() =>
        database.all(`SELECT * FROM issuance WHERE authority = ? AND ${unreleased}`, authority).map(intentOf),
      ),
    findByFingerprint: (fingerprint) =>
      database.read(() => {
        const row = database.one('SELECT * FROM issuance WHERE fingerprint = ?', fingerprint)
        return row === null ? null : certificateOf(row)
      }),
    findBySerial: (serial) =>
      database.read(() => {
        const row = database.one('SELECT * FROM issuance WHERE serial = ?', serial)
        return row === null ? null : certificateOf(row)
      }),
    live: (now, id) =>
      database.read(() => {
        const live = "state = 'released' AND not_after > ?"
        const rows =
          id === undefined
            ? database.all(`SELECT * FROM issuance WHERE ${live} ORDER BY intended_at, serial`, now)
            : database.all(`SELECT * FROM issuance WHERE ${live} AND id = ? ORDER BY intended_at, serial`, now, id)
        return rows.map(certificateOf)
      }),
    late: (now, limit) => database.read(() => database.all(late, now, now, limit).map(certificateOf)),
  }
}
