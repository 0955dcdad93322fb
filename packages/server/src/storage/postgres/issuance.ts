/** Serials from intent to outcome. */

import type { EpochSeconds } from '@doorward/core'
import type { IssuanceStore } from '../../authority/ports.ts'
import { certificateOf, intentOf } from '../authority-rows.ts'
import { LiveCount } from '../live-count.ts'
import { text } from '../row.ts'
import { issuanceColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'
import { serialDenial, writeDenial } from './denials.ts'
import { lockInstances, offerAll } from './instance-batches.ts'
import { withdrawOffer } from './instances.ts'
import { committing, handingOut, intending, releasing } from './issuance-batches.ts'
import type { HandingOut } from './issuance-batches.ts'
import type { Transaction } from './transaction.ts'
import { TurnReader } from './turn-reader.ts'

/** Not released: whether anybody has a certificate for it is not known. */
const unreleased = "state IN ('intended', 'signed')"

const late = `state = 'released' AND not_after > $1 AND ($1 - not_before) * 4 > (not_after - not_before) * 3
  AND NOT EXISTS (
    SELECT 1 FROM issuance AS new
    WHERE new.id = issuance.id AND new.instance IS NOT DISTINCT FROM issuance.instance AND new.state = 'released'
      AND new.intended_at > issuance.intended_at)
  ORDER BY not_after, serial LIMIT $2`

export function postgresIssuance(database: PostgresDatabase): IssuanceStore {
  const certificates = async (sql: string, ...values: readonly (string | number)[]) =>
    (await database.all(`SELECT ${issuanceColumns} FROM issuance WHERE ${sql}`, ...values)).map(certificateOf)
  const byFingerprint = new TurnReader({
    rowsOf: (all) => database.all(`SELECT ${issuanceColumns} FROM issuance WHERE fingerprint = ANY($1)`, all),
    keyOf: (row) => text(row, 'fingerprint'),
  })
  const intends = intending(new LiveCount())
  const live = "state = 'released' AND not_after > $1"
  return {
    intend: (intent, limits, shown) => database.writeTogether(intends, { intent, limits, shown }),
    commit: (serial, fingerprint) => database.writeTogether(committing, { serial, fingerprint }),
    release: (serial) => database.writeTogether(releasing, serial),
    handOut: async (serial, next, now) => {
      const handed = await database.writeTogether(handingOut, { serial, next, now })
      return handed === 'withdraws' ? database.write((tx) => handOutInstead(tx, { serial, next, now })) : handed
    },
    void: (serial, at) => database.write((tx) => voidSerial(tx, serial, at)),
    open: async (authority) => {
      const sql = `SELECT ${issuanceColumns} FROM issuance WHERE authority = $1 AND ${unreleased} ORDER BY serial`
      return (await database.all(sql, authority)).map(intentOf)
    },
    findByFingerprint: async (fingerprint) => {
      const row = await byFingerprint.find(fingerprint)
      return row === null ? null : certificateOf(row)
    },
    findBySerial: async (serial) => (await certificates('serial = $1', serial))[0] ?? null,
    live: (now, id) =>
      id === undefined
        ? certificates(`${live} ORDER BY intended_at, serial`, now)
        : certificates(`${live} AND id = $2 ORDER BY intended_at, serial`, now, id),
    late: (now, limit) => certificates(late, now, limit),
  }
}

/** In the place of an offer that was not confirmed, which is taken back. */
async function handOutInstead(tx: Transaction, { serial, next, now }: HandingOut): Promise<number | 'locked' | 'void'> {
  const { instance } = next
  const held = (await lockInstances(tx, [instance])).get(instance)
  if (held === undefined || held.locked !== null) return 'locked'
  const [released] = await releasing.run(tx, [serial])
  if (released !== true) return 'void'
  await withdrawOffer(tx, instance, now)
  return (await offerAll(tx, [{ serial, ...next, now }])).get(instance) ?? 'locked'
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
