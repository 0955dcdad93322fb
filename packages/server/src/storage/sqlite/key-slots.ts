/** Key slots and their transitions; the database itself allows one active slot per purpose and authority. */

import type { KeySlotStore } from '../../authority/ports.ts'
import { slotOf } from '../authority-rows.ts'
import type { SqliteDatabase } from './database.ts'

export const allSlots = 'SELECT * FROM key_slots ORDER BY prepared_at, key_id'

export function sqliteKeySlots(database: SqliteDatabase): KeySlotStore {
  return {
    prepare: (slot) =>
      database.write(
        () =>
          database.run(
            `INSERT INTO key_slots (key_id, key_name, purpose, authority, state, jwk, certificate, not_after, prepared_at, epoch, ceremony)
             VALUES (?, ?, ?, ?, 'prepared', ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
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
          ) === 1,
      ),
    publish: (keyId, at) =>
      database.write(
        () =>
          database.run(
            "UPDATE key_slots SET state = 'published', published_at = ? WHERE key_id = ? AND state = 'prepared'",
            at,
            keyId,
          ) === 1,
      ),
    activate: (keyId, at) =>
      database.write(() => {
        const row = database.one("SELECT * FROM key_slots WHERE key_id = ? AND state = 'published'", keyId)
        if (row === null) return false
        const { purpose, authority } = slotOf(row)
        database.run(
          "UPDATE key_slots SET state = 'retired', retired_at = ? WHERE purpose = ? AND authority = ? AND state = 'active'",
          at,
          purpose,
          authority,
        )
        database.run("UPDATE key_slots SET state = 'active', activated_at = ? WHERE key_id = ?", at, keyId)
        return true
      }),
    reissue: (keyIds) =>
      database.write(() => {
        for (const keyId of keyIds) database.run('UPDATE key_slots SET reissue = 1 WHERE key_id = ?', keyId)
      }),
    remove: (keyId) =>
      database.write(() => database.run("DELETE FROM key_slots WHERE key_id = ? AND state <> 'active'", keyId) === 1),
    list: () => database.read(() => database.all(allSlots).map(slotOf)),
  }
}
