/** Ceremonies: the database itself allows one open one. */

import type { CeremonyStore } from '../../authority/ports.ts'
import { ceremonyOf } from '../authority-rows.ts'
import { jwk, text } from '../row.ts'
import type { PostgresDatabase } from './database.ts'

export function postgresCeremonies(database: PostgresDatabase): CeremonyStore {
  return {
    open: (ceremony) =>
      database.write(
        async (tx) =>
          (await tx.run(
            'INSERT INTO ceremonies (id, stage, started_at, document) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
            ceremony.id,
            ceremony.stage,
            ceremony.startedAt,
            JSON.stringify(ceremony),
          )) === 1,
      ),
    newest: async () => {
      const row = await database.one('SELECT document FROM ceremonies ORDER BY started_at DESC, id DESC LIMIT 1')
      return row === null ? null : ceremonyOf(row)
    },
    advance: (id, from, ceremony) =>
      database.write(
        async (tx) =>
          (await tx.run(
            'UPDATE ceremonies SET stage = $3, document = $4 WHERE id = $1 AND stage = $2',
            id,
            from,
            ceremony.stage,
            JSON.stringify(ceremony),
          )) === 1,
      ),
    contribute: (id, authority, trustKey) =>
      database.write(async (tx) => {
        await tx.run(
          'INSERT INTO contributions (ceremony, authority, trust_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
          id,
          authority,
          JSON.stringify(trustKey),
        )
      }),
    contributions: async (id) => {
      const rows = await database.all(
        'SELECT authority, trust_key FROM contributions WHERE ceremony = $1 ORDER BY authority',
        id,
      )
      return rows.map((row) => ({ authority: text(row, 'authority'), trustKey: jwk(row, 'trust_key') }))
    },
  }
}
