/** Certificate revocation lists, one per anchor. */

import type { CrlStore } from '../../authority/ports.ts'
import { crlOf } from '../authority-rows.ts'
import type { PostgresDatabase } from './database.ts'

export function postgresCrls(database: PostgresDatabase): CrlStore {
  return {
    put: ({ keyId, number, thisUpdate, nextUpdate, der }) =>
      database.write(
        async (tx) =>
          (await tx.run(
            `INSERT INTO crls (key_id, number, this_update, next_update, der) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (key_id) DO UPDATE SET
               number = excluded.number, this_update = excluded.this_update, next_update = excluded.next_update, der = excluded.der
             WHERE excluded.number > crls.number`,
            keyId,
            number,
            thisUpdate,
            nextUpdate,
            der,
          )) === 1,
      ),
    list: async () =>
      (await database.all('SELECT key_id, number, this_update, next_update, der FROM crls ORDER BY key_id')).map(crlOf),
    remove: (keyId) =>
      database.write(async (tx) => {
        await tx.run('DELETE FROM crls WHERE key_id = $1', keyId)
      }),
  }
}
