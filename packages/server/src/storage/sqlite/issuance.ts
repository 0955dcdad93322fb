/** Serials from intent to outcome. */

import type { EpochSeconds } from '@doorward/core'
import type { IssuanceIntent, IssuanceLimits, IssuanceStore } from '../../authority/ports.ts'
import type { Row, SqliteDatabase } from './database.ts'
import { writeDenial } from './denials.ts'
import { seconds, text, whole } from './row.ts'

function intentOf(row: Row): IssuanceIntent {
  return {
    serial: text(row, 'serial'),
    id: text(row, 'id'),
    anchorKeyId: text(row, 'anchor_key_id'),
    authority: text(row, 'authority'),
    publicKeyHash: text(row, 'public_key_hash'),
    notBefore: seconds(row, 'not_before'),
    notAfter: seconds(row, 'not_after'),
    intendedAt: seconds(row, 'intended_at'),
  }
}

/** Whether a certificate for it was ever signed is not known, so the serial is denied for as long as it could live. */
function voidIntent(database: SqliteDatabase, intent: IssuanceIntent, at: EpochSeconds): void {
  database.run("UPDATE issuance SET state = 'void' WHERE serial = ?", intent.serial)
  writeDenial(database, {
    kind: 'serial',
    value: intent.serial,
    issuedBefore: at,
    lapsesAt: intent.notAfter,
    reason: 'issuance without outcome',
  })
}

/** Not released: whether anybody has a certificate for it is not known. */
const unreleased = "state IN ('intended', 'signed')"
const registered = 'id IN (SELECT id FROM registrations)'

function isFull(database: SqliteDatabase, { id, intendedAt }: IssuanceIntent, limits: IssuanceLimits): boolean {
  const count = (sql: string, ...values: readonly (string | number)[]) => whole(database.one(sql, ...values) ?? {}, 'n')
  return (
    count("SELECT count(*) AS n FROM issuance WHERE id = ? AND not_after > ? AND state <> 'void'", id, intendedAt) >=
      limits.perIdentity ||
    count("SELECT count(*) AS n FROM issuance WHERE not_after > ? AND state = 'released'", intendedAt) >= limits.total
  )
}

export function sqliteIssuance(database: SqliteDatabase): IssuanceStore {
  return {
    intend: (intent, limits) =>
      database.write(() => {
        if (database.one('SELECT 1 FROM registrations WHERE id = ?', intent.id) === null) return 'unregistered'
        if (isFull(database, intent, limits)) return 'full'
        const added = database.run(
          `INSERT INTO issuance (serial, id, anchor_key_id, authority, public_key_hash, not_before, not_after, intended_at, state)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'intended') ON CONFLICT DO NOTHING`,
          intent.serial,
          intent.id,
          intent.anchorKeyId,
          intent.authority,
          intent.publicKeyHash,
          intent.notBefore,
          intent.notAfter,
          intent.intendedAt,
        )
        return added === 1 ? 'intended' : 'serial_taken'
      }),
    commit: (serial, fingerprint) =>
      database.write(
        () =>
          database.run(
            `UPDATE issuance SET state = 'signed', fingerprint = ? WHERE serial = ? AND state = 'intended' AND ${registered}`,
            fingerprint,
            serial,
          ) === 1,
      ),
    release: (serial) =>
      database.write(
        () =>
          database.run(
            `UPDATE issuance SET state = 'released' WHERE serial = ? AND state = 'signed' AND ${registered}`,
            serial,
          ) === 1,
      ),
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
  }
}
