/** What receivers of trust state have applied. */

import type { AckStore } from '../../authority/ports.ts'
import { ackOf } from '../authority-rows.ts'
import type { SqliteDatabase } from './database.ts'

const isLater = '(excluded.delegation, excluded.sequence) >= (delegation, sequence)'

export function sqliteAcks(database: SqliteDatabase): AckStore {
  return {
    put: (acks) =>
      database.write(() => {
        for (const { id, scope, delegation, sequence, at, authority } of acks) {
          database.run(
            `INSERT INTO acks (id, scope, delegation, sequence, at, authority) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id, scope) DO UPDATE SET
               delegation = iif(${isLater}, excluded.delegation, delegation),
               sequence = iif(${isLater}, excluded.sequence, sequence),
               authority = iif(excluded.at >= at, excluded.authority, authority),
               at = max(at, excluded.at)`,
            id,
            scope,
            delegation,
            sequence,
            at,
            authority,
          )
        }
      }),
    list: () => database.read(() => database.all('SELECT * FROM acks ORDER BY id, scope').map(ackOf)),
    prune: (before) => database.write(() => void database.run('DELETE FROM acks WHERE at < ?', before)),
  }
}
