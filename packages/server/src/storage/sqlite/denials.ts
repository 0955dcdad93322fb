/** What is refused although it was issued. */

import { denialMarginSeconds, epochSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { Denial, DenialStore, IssuanceIntent } from '../../authority/ports.ts'
import { denialOf, intentOf } from '../authority-rows.ts'
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

/** Part of a larger transaction: whatever one instance still has. */
export function denyInstance(database: SqliteDatabase, instance: string, reason: string, now: EpochSeconds): void {
  const live = database.all(
    "SELECT * FROM issuance WHERE instance = ? AND not_after > ? AND state <> 'void'",
    instance,
    now,
  )
  for (const row of live) denySerial(database, intentOf(row), { at: now, reason })
}

/** Part of a larger transaction. */
export function denySerial(
  database: SqliteDatabase,
  { serial, notAfter }: Pick<IssuanceIntent, 'serial' | 'notAfter'>,
  { at, reason }: { readonly at: EpochSeconds; readonly reason: string },
): void {
  writeDenial(database, serialDenial({ serial, notAfter }, { at, reason }))
}

/** Receivers count time by the last heartbeat: a denial outlives what it refuses by more than they can be behind. */
export function serialDenial(
  { serial, notAfter }: Pick<IssuanceIntent, 'serial' | 'notAfter'>,
  { at, reason }: { readonly at: EpochSeconds; readonly reason: string },
): Denial {
  const lapsesAt = epochSeconds(notAfter + denialMarginSeconds)
  return { kind: 'serial', value: serial, issuedBefore: at, lapsesAt, reason }
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
