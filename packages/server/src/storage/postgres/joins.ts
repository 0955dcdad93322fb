/** Join tokens and proofs, consumed once, each for one instance. */

import type { JoinStore } from '../../authority/ports.ts'
import { tokenOf } from '../authority-rows.ts'
import { secondsOrNull, text, whole } from '../row.ts'
import { tokenColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'
import { bindInstance } from './instances.ts'
import type { Transaction } from './transaction.ts'

/** Used and expired tokens are kept this long, so that their holder learns why. */
const KEPT_SECONDS = 86_400
const find = `SELECT ${tokenColumns} FROM join_tokens WHERE hash = $1`

export function postgresJoins(database: PostgresDatabase): JoinStore {
  return {
    addToken: (token, limit) => database.write((tx) => addToken(tx, token, limit)),
    findToken: async (hash) => {
      const row = await database.one(find, hash)
      return row === null ? null : { ...tokenOf(row), usedAt: secondsOrNull(row, 'used_at') }
    },
    pending: async (id, now) => {
      const rows = await database.all(
        `SELECT ${tokenColumns} FROM join_tokens WHERE id = $1 AND used_at IS NULL AND expires_at > $2 ORDER BY created_at, hash`,
        id,
        now,
      )
      return rows.map(tokenOf)
    },
    withdrawAll: () =>
      database.write(async (tx) => void (await tx.run('DELETE FROM join_tokens WHERE used_at IS NULL'))),
    redeem: (redemption) => database.write((tx) => redeem(tx, redemption)),
    admit: (id, admission, limit) => database.write((tx) => admit(tx, id, { ...admission, limit })),
  }
}

async function addToken(
  tx: Transaction,
  { hash, id, createdAt, expiresAt }: Parameters<JoinStore['addToken']>[0],
  limit: number,
): Promise<Awaited<ReturnType<JoinStore['addToken']>>> {
  if ((await tx.one('SELECT 1 FROM registrations WHERE id = $1', id)) === null) return 'unregistered'
  await tx.run('DELETE FROM join_tokens WHERE expires_at < $1', createdAt - KEPT_SECONDS)
  const live = await tx.one(
    'SELECT count(*) AS n FROM join_tokens WHERE used_at IS NULL AND expires_at > $1',
    createdAt,
  )
  if (whole(live ?? {}, 'n') >= limit) return 'full'
  await tx.run(
    'INSERT INTO join_tokens (hash, id, created_at, expires_at) VALUES ($1, $2, $3, $4)',
    hash,
    id,
    createdAt,
    expiresAt,
  )
  return 'added'
}

async function redeem(
  tx: Transaction,
  { hash, binding }: Parameters<JoinStore['redeem']>[0],
): Promise<Awaited<ReturnType<JoinStore['redeem']>>> {
  // The condition and the mark are one statement: among concurrent callers the row count names the winner.
  const consumed = await tx.run(
    'UPDATE join_tokens SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2',
    hash,
    binding.now,
  )
  const row = await tx.one(find, hash)
  if (row === null) return { outcome: 'unknown' }
  if (consumed !== 1) return { outcome: row['used_at'] === null ? 'expired' : 'used' }
  const bound = await bindInstance(tx, text(row, 'id'), binding)
  // A token is not spent on a key that another workload has.
  if (bound === 'bound_elsewhere' || bound === null) {
    await tx.run('UPDATE join_tokens SET used_at = NULL WHERE hash = $1', hash)
    return { outcome: 'bound_elsewhere' }
  }
  return { outcome: 'redeemed', bound }
}

type Admission = Parameters<JoinStore['admit']>[1] & { readonly limit: number }

async function admit(
  tx: Transaction,
  id: string,
  { proof, binding, limit }: Admission,
): Promise<Awaited<ReturnType<JoinStore['admit']>>> {
  await tx.run('DELETE FROM used_proofs WHERE expires_at <= $1', binding.now)
  const full = whole((await tx.one('SELECT count(*) AS n FROM used_proofs')) ?? {}, 'n') >= limit
  // Also where it is full: whoever comes again with a used proof learns that.
  const used = (await tx.one('SELECT 1 FROM used_proofs WHERE hash = $1', proof.hash)) !== null
  if (used || full) return { outcome: used ? 'used' : 'full' }
  const bound = await bindInstance(tx, id, binding)
  if (bound === null) return { outcome: 'unregistered' }
  if (bound === 'bound_elsewhere') return { outcome: 'bound_elsewhere' }
  await tx.run('INSERT INTO used_proofs (hash, expires_at) VALUES ($1, $2)', proof.hash, proof.expiresAt)
  return { outcome: 'admitted', bound }
}
