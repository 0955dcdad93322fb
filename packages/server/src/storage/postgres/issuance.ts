/** Serials from intent to outcome. */

import { backdatingSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { IssuanceIntent, IssuanceLimits, IssuanceStore } from '../../authority/ports.ts'
import { certificateOf, intentOf } from '../authority-rows.ts'
import { whole } from '../row.ts'
import { issuanceColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'
import { serialDenial, writeDenial } from './denials.ts'
import type { Transaction } from './transaction.ts'

/** Not released: whether anybody has a certificate for it is not known. */
const unreleased = "state IN ('intended', 'signed')"
const registered = 'id IN (SELECT id FROM registrations)'
/** Neither the serial nor its anchor is denied, and the identity not from a later moment on. */
const undenied = `NOT EXISTS (SELECT 1 FROM denials WHERE kind = 'serial' AND value = issuance.serial)
  AND NOT EXISTS (SELECT 1 FROM denials WHERE kind = 'authority' AND value = issuance.anchor_key_id)
  AND NOT EXISTS (
    SELECT 1 FROM denials WHERE kind = 'identity' AND value = issuance.id AND issued_before > issuance.not_before + ${backdatingSeconds}
  )`

/**
 * What came between the decision to issue and the intent, at one look: a renewal is as good as what it renews.
 * Parameters: id, anchor, instance, predecessor, beginning, now.
 */
const standing = `SELECT
  EXISTS (SELECT 1 FROM registrations WHERE id = $1)::int AS registered,
  (EXISTS (SELECT 1 FROM denials WHERE kind = 'authority' AND value = $2)
    OR EXISTS (SELECT 1 FROM denials WHERE kind = 'serial' AND value = $4)
    OR EXISTS (
      SELECT 1 FROM denials WHERE kind = 'identity' AND value = $1
        AND issued_before > ${backdatingSeconds} + least($5::bigint, (SELECT not_before FROM issuance WHERE serial = $4)))
    OR ($3::text IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM instances WHERE instance = $3 AND id = $1 AND locked_at IS NULL)))::int AS denied,
  (SELECT count(*) FROM issuance WHERE id = $1 AND not_after > $6 AND state <> 'void') AS own,
  (SELECT count(*) FROM issuance WHERE not_after > $6 AND state = 'released') AS total`

const insert = `INSERT INTO issuance
    (serial, id, anchor_key_id, authority, instance, predecessor, public_key_hash, not_before, not_after, intended_at, state)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'intended') ON CONFLICT DO NOTHING`

const late = `state = 'released' AND not_after > $1 AND ($1 - not_before) * 4 > (not_after - not_before) * 3
  AND NOT EXISTS (
    SELECT 1 FROM issuance AS new
    WHERE new.id = issuance.id AND new.instance IS NOT DISTINCT FROM issuance.instance AND new.state = 'released'
      AND new.intended_at > issuance.intended_at)
  ORDER BY not_after, serial LIMIT $2`

export function postgresIssuance(database: PostgresDatabase): IssuanceStore {
  const certificates = async (sql: string, ...values: readonly (string | number)[]) =>
    (await database.all(`SELECT ${issuanceColumns} FROM issuance WHERE ${sql}`, ...values)).map(certificateOf)
  const live = "state = 'released' AND not_after > $1"
  return {
    intend: (intent, limits) => database.writeBeside((tx) => intend(tx, intent, limits)),
    commit: (serial, fingerprint) =>
      database.writeBeside(
        async (tx) =>
          (await tx.run(
            `UPDATE issuance SET state = 'signed', fingerprint = $2 WHERE serial = $1 AND state = 'intended' AND ${registered} AND ${undenied}`,
            serial,
            fingerprint,
          )) === 1,
      ),
    release: (serial) =>
      database.writeBeside(
        async (tx) =>
          (await tx.run(
            `UPDATE issuance SET state = 'released' WHERE serial = $1 AND state = 'signed' AND ${registered} AND ${undenied}`,
            serial,
          )) === 1,
      ),
    void: (serial, at) => database.write((tx) => voidSerial(tx, serial, at)),
    open: async (authority) => {
      const sql = `SELECT ${issuanceColumns} FROM issuance WHERE authority = $1 AND ${unreleased} ORDER BY serial`
      return (await database.all(sql, authority)).map(intentOf)
    },
    findByFingerprint: async (fingerprint) => (await certificates('fingerprint = $1', fingerprint))[0] ?? null,
    findBySerial: async (serial) => (await certificates('serial = $1', serial))[0] ?? null,
    live: (now, id) =>
      id === undefined
        ? certificates(`${live} ORDER BY intended_at, serial`, now)
        : certificates(`${live} AND id = $2 ORDER BY intended_at, serial`, now, id),
    late: (now, limit) => certificates(late, now, limit),
  }
}

/** Authorities that issue at the same moment may together go beyond a limit by as many. */
async function intend(
  tx: Transaction,
  intent: IssuanceIntent,
  limits: IssuanceLimits,
): Promise<Awaited<ReturnType<IssuanceStore['intend']>>> {
  const { serial, id, anchorKeyId, authority, instance, predecessor, notBefore, notAfter, intendedAt } = intent
  const row = (await tx.one(standing, id, anchorKeyId, instance, predecessor, notBefore, intendedAt)) ?? {}
  if (whole(row, 'registered') === 0) return 'unregistered'
  if (whole(row, 'denied') === 1) return 'denied'
  if (whole(row, 'own') >= limits.perIdentity || whole(row, 'total') >= limits.total) return 'full'
  const added = await tx.run(
    insert,
    serial,
    id,
    anchorKeyId,
    authority,
    instance,
    predecessor,
    intent.publicKeyHash,
    notBefore,
    notAfter,
    intendedAt,
  )
  return added === 1 ? 'intended' : 'serial_taken'
}

/** Whether a certificate for it was ever signed is not known, so the serial is denied for as long as it could live. */
async function voidSerial(tx: Transaction, serial: string, at: EpochSeconds): Promise<boolean> {
  const row = await tx.one(
    `UPDATE issuance SET state = 'void' WHERE serial = $1 AND ${unreleased} RETURNING ${issuanceColumns}`,
    serial,
  )
  if (row === null) return false
  await writeDenial(tx, serialDenial(intentOf(row), { at, reason: 'issuance without outcome' }))
  return true
}
