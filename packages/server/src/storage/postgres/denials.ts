/** What is refused although it was issued. */

import { denialMarginSeconds, epochSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { Denial, DenialStore, IssuanceIntent } from '../../authority/ports.ts'
import { denialOf, intentOf } from '../authority-rows.ts'
import { denialColumns, issuanceColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'
import type { Transaction } from './transaction.ts'

/** Part of a larger transaction. */
export async function writeDenial(tx: Transaction, denial: Denial): Promise<void> {
  await tx.run(
    `INSERT INTO denials (kind, value, issued_before, lapses_at, reason) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (kind, value) DO UPDATE SET
       issued_before = greatest(denials.issued_before, excluded.issued_before),
       lapses_at = greatest(denials.lapses_at, excluded.lapses_at)`,
    denial.kind,
    denial.value,
    denial.issuedBefore,
    denial.lapsesAt,
    denial.reason,
  )
}

/** When and why something is denied. */
export interface Occasion {
  readonly at: EpochSeconds
  readonly reason: string
}

/** Receivers count time by the last heartbeat: a denial outlives what it refuses by more than they can be behind. */
export function serialDenial(
  { serial, notAfter }: Pick<IssuanceIntent, 'serial' | 'notAfter'>,
  { at, reason }: Occasion,
): Denial {
  const lapsesAt = epochSeconds(notAfter + denialMarginSeconds)
  return { kind: 'serial', value: serial, issuedBefore: at, lapsesAt, reason }
}

/** Part of a larger transaction: whatever one instance still has. */
export async function denyInstance(tx: Transaction, instance: string, occasion: Occasion): Promise<void> {
  const live = await tx.all(
    `SELECT ${issuanceColumns} FROM issuance WHERE instance = $1 AND not_after > $2 AND state <> 'void' ORDER BY serial`,
    instance,
    occasion.at,
  )
  for (const row of live) await writeDenial(tx, serialDenial(intentOf(row), occasion))
}

export const liveDenials = `SELECT ${denialColumns} FROM denials WHERE lapses_at > $1 ORDER BY kind, value`

export function postgresDenials(database: PostgresDatabase): DenialStore {
  return {
    deny: (denial) => database.write((tx) => writeDenial(tx, denial)),
    denyInEpoch: (denials, epoch) =>
      database.write(async (tx) => {
        for (const denial of denials) await writeDenial(tx, denial)
        await tx.run('UPDATE domain SET epoch = greatest(epoch, $1)', epoch)
      }),
    list: async (now) => (await database.all(liveDenials, now)).map(denialOf),
  }
}
