/** Denials with what follows from them, each in one transaction. */

import { backdatingSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { DeniedCertificate, Denial, Revoked, RevocationStore } from '../../authority/ports.ts'
import { denialOf, intentOf } from '../authority-rows.ts'
import { seconds, text, textOrNull } from '../row.ts'
import type { SqliteDatabase } from './database.ts'
import { serialDenial, writeDenial } from './denials.ts'
import { lockInstance } from './instances.ts'

export function sqliteRevocations(database: SqliteDatabase): RevocationStore {
  return {
    revoke: (denial, now) =>
      database.write(() => {
        switch (denial.kind) {
          case 'serial':
            return { denials: denySerials(database, denial, now), locked: [] }
          case 'identity':
            return denyIdentity(database, denial, now)
          case 'token':
          case 'authority':
            writeDenial(database, denial)
            return { denials: [denial], locked: [] }
        }
      }),
    issuedBefore: (id) =>
      database.read(() => {
        const row = database.one("SELECT issued_before FROM denials WHERE kind = 'identity' AND value = ?", id)
        return row === null ? null : seconds(row, 'issued_before')
      }),
    certificates: (now) => database.read(() => certificates(database, now)),
    prune: (before) => database.write(() => void database.run('DELETE FROM denials WHERE lapses_at < ?', before)),
  }
}

/** Thieves renew too: whatever descends from the serial goes with it, also what is being issued now. */
const descendants = `WITH RECURSIVE chain (serial) AS (
    VALUES (?) UNION SELECT issuance.serial FROM issuance JOIN chain ON issuance.predecessor = chain.serial
  )
  SELECT issuance.* FROM issuance JOIN chain USING (serial)`

function denySerials(database: SqliteDatabase, denial: Denial, now: EpochSeconds): readonly Denial[] {
  const known = database.all(descendants, denial.value).map(intentOf)
  const { issuedBefore: at, reason } = denial
  const denials =
    known.length === 0
      ? [denial]
      : known.filter(({ notAfter }) => notAfter > now).map((intent) => serialDenial(intent, { at, reason }))
  for (const one of denials) writeDenial(database, one)
  return denials
}

function denyIdentity(database: SqliteDatabase, denial: Denial, now: EpochSeconds): Revoked {
  const { value: id, issuedBefore, reason } = denial
  writeDenial(database, denial)
  const bound = database.all(
    'SELECT instance FROM instances WHERE id = ? AND bound_at < ? AND locked_at IS NULL ORDER BY bound_at, instance',
    id,
    issuedBefore,
  )
  const locked = bound.map((row) => text(row, 'instance'))
  for (const instance of locked) lockInstance(database, instance, reason, now)
  database.run('DELETE FROM join_tokens WHERE id = ? AND used_at IS NULL AND created_at < ?', id, issuedBefore)
  return { denials: [denial, ...locked.flatMap((instance) => ofInstance(database, instance, now))], locked }
}

function ofInstance(database: SqliteDatabase, instance: string, now: EpochSeconds): readonly Denial[] {
  return database
    .all(
      `SELECT denials.* FROM denials JOIN issuance ON issuance.serial = denials.value
       WHERE kind = 'serial' AND instance = ? AND not_after > ? ORDER BY value`,
      instance,
      now,
    )
    .map(denialOf)
}

/** Serials that were not issued here may be of any anchor. */
function certificates(database: SqliteDatabase, now: EpochSeconds): readonly DeniedCertificate[] {
  const rows = database.all(
    `SELECT denials.value AS serial, anchor_key_id, issued_before
     FROM denials LEFT JOIN issuance ON issuance.serial = denials.value
     WHERE denials.kind = 'serial' AND lapses_at > ? AND (not_after IS NULL OR not_after > ?)
     UNION ALL
     SELECT serial, anchor_key_id, issued_before
     FROM denials JOIN issuance ON issuance.id = denials.value AND not_after > ? AND not_before + ${backdatingSeconds} < issued_before
     WHERE denials.kind = 'identity' AND lapses_at > ?
       AND NOT EXISTS (SELECT 1 FROM denials AS single WHERE single.kind = 'serial' AND single.value = issuance.serial)
     ORDER BY 1`,
    now,
    now,
    now,
    now,
  )
  return rows.map((row) => ({
    serial: text(row, 'serial'),
    anchorKeyId: textOrNull(row, 'anchor_key_id'),
    deniedAt: seconds(row, 'issued_before'),
  }))
}
