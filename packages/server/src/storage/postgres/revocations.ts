/** Denials with what follows from them, each in one transaction. */

import { backdatingSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { DeniedCertificate, Denial, Revoked, RevocationStore } from '../../authority/ports.ts'
import { denialOf, intentOf } from '../authority-rows.ts'
import { seconds, text, textOrNull } from '../row.ts'
import type { PostgresDatabase } from './database.ts'
import { serialDenial, writeDenial } from './denials.ts'
import { lockInstance } from './instances.ts'
import type { Transaction } from './transaction.ts'

export function postgresRevocations(database: PostgresDatabase): RevocationStore {
  return {
    revoke: (denial, now) => database.write((tx) => revoke(tx, denial, now)),
    issuedBefore: async (id) => {
      const row = await database.one("SELECT issued_before FROM denials WHERE kind = 'identity' AND value = $1", id)
      return row === null ? null : seconds(row, 'issued_before')
    },
    certificates: (now) => certificates(database, now),
    prune: (before) =>
      database.write(async (tx) => {
        await tx.run('DELETE FROM denials WHERE lapses_at < $1', before)
      }),
  }
}

async function revoke(tx: Transaction, denial: Denial, now: EpochSeconds): Promise<Revoked> {
  switch (denial.kind) {
    case 'serial':
      return { denials: await denySerials(tx, denial, now), locked: [] }
    case 'identity':
      return denyIdentity(tx, denial, now)
    case 'token':
    case 'authority':
      await writeDenial(tx, denial)
      return { denials: [denial], locked: [] }
  }
}

/** Thieves renew too: whatever descends from the serial goes with it, also what is being issued now. */
const descendants = `WITH RECURSIVE chain (serial) AS (
    SELECT $1::words UNION SELECT issuance.serial FROM issuance JOIN chain ON issuance.predecessor = chain.serial
  )
  SELECT serial, id, anchor_key_id, authority, instance, predecessor, public_key_hash, not_before, not_after, intended_at
  FROM issuance JOIN chain USING (serial)`

async function denySerials(tx: Transaction, denial: Denial, now: EpochSeconds): Promise<readonly Denial[]> {
  const known = (await tx.all(descendants, denial.value)).map(intentOf)
  const { issuedBefore: at, reason } = denial
  const denials =
    known.length === 0
      ? [denial]
      : known.filter(({ notAfter }) => notAfter > now).map((intent) => serialDenial(intent, { at, reason }))
  for (const one of denials) await writeDenial(tx, one)
  return denials
}

async function denyIdentity(tx: Transaction, denial: Denial, now: EpochSeconds): Promise<Revoked> {
  const { value: id, issuedBefore, reason } = denial
  await writeDenial(tx, denial)
  const bound = await tx.all(
    'SELECT instance FROM instances WHERE id = $1 AND bound_at < $2 AND locked_at IS NULL ORDER BY bound_at, instance',
    id,
    issuedBefore,
  )
  const locked = bound.map((row) => text(row, 'instance'))
  const denials = [denial]
  for (const instance of locked) {
    await lockInstance(tx, instance, { at: now, reason })
    denials.push(...(await ofInstance(tx, instance, now)))
  }
  await tx.run('DELETE FROM join_tokens WHERE id = $1 AND used_at IS NULL AND created_at < $2', id, issuedBefore)
  return { denials, locked }
}

async function ofInstance(tx: Transaction, instance: string, now: EpochSeconds): Promise<readonly Denial[]> {
  const rows = await tx.all(
    `SELECT kind, value, issued_before, lapses_at, reason FROM denials JOIN issuance ON issuance.serial = denials.value
     WHERE kind = 'serial' AND instance = $1 AND not_after > $2 ORDER BY value`,
    instance,
    now,
  )
  return rows.map(denialOf)
}

/** Serials that were not issued here may be of any anchor. */
async function certificates(database: PostgresDatabase, now: EpochSeconds): Promise<readonly DeniedCertificate[]> {
  const rows = await database.all(
    `SELECT denials.value AS serial, anchor_key_id, issued_before
     FROM denials LEFT JOIN issuance ON issuance.serial = denials.value
     WHERE denials.kind = 'serial' AND lapses_at > $1 AND (not_after IS NULL OR not_after > $1)
     UNION ALL
     SELECT serial, anchor_key_id, issued_before
     FROM denials JOIN issuance ON issuance.id = denials.value AND not_after > $1 AND not_before + ${backdatingSeconds} < issued_before
     WHERE denials.kind = 'identity' AND lapses_at > $1
       AND NOT EXISTS (SELECT 1 FROM denials AS single WHERE single.kind = 'serial' AND single.value = issuance.serial)
     ORDER BY 1`,
    now,
  )
  return rows.map((row) => ({
    serial: text(row, 'serial'),
    anchorKeyId: textOrNull(row, 'anchor_key_id'),
    deniedAt: seconds(row, 'issued_before'),
  }))
}
