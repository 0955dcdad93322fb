/** Key slots and their transitions; the database itself allows one active slot per purpose and authority. */

import type { KeySlotStore } from '../../authority/ports.ts'
import { slotOf } from '../authority-rows.ts'
import { text } from '../row.ts'
import { slotColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'

export const allSlots = `SELECT ${slotColumns} FROM key_slots ORDER BY prepared_at, key_id`

export function postgresKeySlots(database: PostgresDatabase): KeySlotStore {
  return {
    prepare: (slot) =>
      database.write(
        async (tx) =>
          (await tx.run(
            `INSERT INTO key_slots (key_id, key_name, purpose, authority, state, jwk, certificate, not_after, prepared_at, epoch, ceremony)
             VALUES ($1, $2, $3, $4, 'prepared', $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
            slot.keyId,
            slot.keyName,
            slot.purpose,
            slot.authority,
            JSON.stringify(slot.jwk),
            slot.certificate,
            slot.notAfter,
            slot.preparedAt,
            slot.epoch,
            slot.ceremony,
          )) === 1,
      ),
    publish: (keyId, at) =>
      database.write(
        async (tx) =>
          (await tx.run(
            "UPDATE key_slots SET state = 'published', published_at = $2 WHERE key_id = $1 AND state = 'prepared'",
            keyId,
            at,
          )) === 1,
      ),
    activate: (keyId, at) =>
      database.write(async (tx) => {
        const row = await tx.one(
          "SELECT purpose, authority FROM key_slots WHERE key_id = $1 AND state = 'published'",
          keyId,
        )
        if (row === null) return false
        await tx.run(
          "UPDATE key_slots SET state = 'retired', retired_at = $3 WHERE purpose = $1 AND authority = $2 AND state = 'active'",
          text(row, 'purpose'),
          text(row, 'authority'),
          at,
        )
        await tx.run("UPDATE key_slots SET state = 'active', activated_at = $2 WHERE key_id = $1", keyId, at)
        return true
      }),
    reissue: (keyIds) =>
      database.write(async (tx) => {
        await tx.run('UPDATE key_slots SET reissue = 1 WHERE key_id = ANY ($1::text[])', keyIds)
      }),
    remove: (keyId) =>
      database.write(
        async (tx) => (await tx.run("DELETE FROM key_slots WHERE key_id = $1 AND state <> 'active'", keyId)) === 1,
      ),
    list: async () => (await database.all(allSlots)).map(slotOf),
  }
}
