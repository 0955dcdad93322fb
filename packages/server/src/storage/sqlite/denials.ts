/** What is refused although it was issued. */

import type { Denial, DenialStore } from '../../authority/ports.ts'
import { denialOf } from '../authority-rows.ts'
import type { SqliteDatabase } from './database.ts'

/** Part of a larger transaction. */
export function writeDenial(database: SqliteDatabase, denial: Denial): void {
  database.run(
    `INSERT INTO denials (kind, value, issued_before, lapses_at, reason) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (kind, value) DO UPDATE SET
       issued_before = max(issued_before, excluded.issued_before),
       lapses_at = max(lapses_at, excluded.lapses_at)`,
    denial.kind,
    denial.value,
    denial.issuedBefore,
    denial.lapsesAt,
    denial.reason,
  )
}

export const liveDenials = 'SELECT * FROM denials WHERE lapses_at > ? ORDER BY kind, value'

export function sqliteDenials(database: SqliteDatabase): DenialStore {
  return {
    deny: (denial) => database.write(() => writeDenial(database, denial)),
    denyInEpoch: (denials, epoch) =>
      database.write(() => {
        for (const denial of denials) writeDenial(database, denial)
        database.run('UPDATE domain SET epoch = max(epoch, ?)', epoch)
      }),
    list: (now) => database.read(() => database.all(liveDenials, now).map(denialOf)),
  }
}
