/** Certificate revocation lists, one per anchor. */

import type { CrlStore } from '../../authority/ports.ts'
import { crlOf } from '../authority-rows.ts'
import type { SqliteDatabase } from './database.ts'

export function sqliteCrls(database: SqliteDatabase): CrlStore {
  return {
    put: ({ keyId, number, thisUpdate, nextUpdate, der }) =>
      database.write(
        () =>
          database.run(
            `INSERT INTO crls (key_id, number, this_update, next_update, der) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (key_id) DO UPDATE SET
               number = excluded.number, this_update = excluded.this_update, next_update = excluded.next_update, der = excluded.der
             WHERE excluded.number > number`,
            keyId,
            number,
            thisUpdate,
            nextUpdate,
            der,
          ) === 1,
      ),
    list: () => database.read(() => database.all('SELECT * FROM crls ORDER BY key_id').map(crlOf)),
    remove: (keyId) => database.write(() => void database.run('DELETE FROM crls WHERE key_id = ?', keyId)),
  }
}
