/** Ceremonies: the database itself allows one open one. */

import type { CeremonyStore } from '../../authority/ports.ts'
import { ceremonyOf } from '../authority-rows.ts'
import { jwk, text } from '../row.ts'
import type { SqliteDatabase } from './database.ts'

export function sqliteCeremonies(database: SqliteDatabase): CeremonyStore {
  return {
    open: (ceremony) =>
      database.write(
        () =>
          database.run(
            'INSERT INTO ceremonies (id, stage, started_at, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
            ceremony.id,
            ceremony.stage,
            ceremony.startedAt,
            JSON.stringify(ceremony),
          ) === 1,
      ),
    newest: () =>
      database.read(() => {
        const row = database.one('SELECT document FROM ceremonies ORDER BY started_at DESC, id DESC LIMIT 1')
        return row === null ? null : ceremonyOf(row)
      }),
    advance: (id, from, ceremony) =>
      database.write(
        () =>
          database.run(
            'UPDATE ceremonies SET stage = ?, document = ? WHERE id = ? AND stage = ?',
            ceremony.stage,
            JSON.stringify(ceremony),
            id,
            from,
          ) === 1,
      ),
    contribute: (id, authority, trustKey) =>
      database.write(() => {
        database.run(
          'INSERT INTO contributions (ceremony, authority, trust_key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
          id,
          authority,
          JSON.stringify(trustKey),
        )
      }),
    contributions: (id) =>
      database.read(() =>
        database
          .all('SELECT authority, trust_key FROM contributions WHERE ceremony = ? ORDER BY authority', id)
          .map((row) => ({ authority: text(row, 'authority'), trustKey: jwk(row, 'trust_key') })),
      ),
  }
}
