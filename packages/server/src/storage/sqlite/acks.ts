/** What receivers of trust state have applied. */

import type { AckStore } from '../../authority/ports.ts'
import { ackOf } from '../authority-rows.ts'
import type { SqliteDatabase } from './database.ts'

const isLater = '(excluded.delegation, excluded.sequence) >= (delegation, sequence)'

export function sqliteAcks(database: SqliteDatabase): AckStore {
  return {
    put: (acks) =>
      database.write(() => {
        for (const { id, instance, scope, delegation, sequence, at, authority } of acks) {
          database.run(
            `INSERT INTO receipts (id, instance, scope, delegation, sequence, at, authority) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id, scope, instance) DO UPDATE SET
               delegation = iif(${isLater}, excluded.delegation, delegation),
               sequence = iif(${isLater}, excluded.sequence, sequence),
               authority = iif(excluded.at >= at, excluded.authority, authority),
               at = max(at, excluded.at)`,
            id,
            instance,
            scope,
            delegation,
            sequence,
            at,
            authority,
          )
        }
      }),
    list: () => database.read(() => database.all('SELECT * FROM receipts ORDER BY id, scope, instance').map(ackOf)),
    prune: (before) => database.write(() => void database.run('DELETE FROM receipts WHERE at < ?', before)),
  }
}
