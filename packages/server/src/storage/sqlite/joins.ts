/** Join tokens, consumed once, each for one instance. */

import type { JoinStore } from '../../authority/ports.ts'
import { tokenOf } from '../authority-rows.ts'
import { secondsOrNull, text, whole } from '../row.ts'
import type { SqliteDatabase } from './database.ts'
import { bindInstance } from './instances.ts'

/** Used and expired tokens are kept this long, so that their holder learns why. */
const KEPT_SECONDS = 86_400

export function sqliteJoins(database: SqliteDatabase): JoinStore {
  return {
    addToken: (token, limit) =>
      database.write(() => {
        const { hash, id, createdAt, expiresAt } = token
        if (database.one('SELECT 1 FROM registrations WHERE id = ?', id) === null) return 'unregistered'
        database.run('DELETE FROM join_tokens WHERE expires_at < ?', createdAt - KEPT_SECONDS)
        const live = database.one(
          'SELECT count(*) AS n FROM join_tokens WHERE used_at IS NULL AND expires_at > ?',
          createdAt,
        )
        if (whole(live ?? {}, 'n') >= limit) return 'full'
        database.run(
          'INSERT INTO join_tokens (hash, id, created_at, expires_at) VALUES (?, ?, ?, ?)',
          hash,
          id,
          createdAt,
          expiresAt,
        )
        return 'added'
      }),
    findToken: (hash) =>
      database.read(() => {
        const row = database.one('SELECT * FROM join_tokens WHERE hash = ?', hash)
        return row === null ? null : { ...tokenOf(row), usedAt: secondsOrNull(row, 'used_at') }
      }),
    pending: (id, now) =>
      database.read(() =>
        database
          .all(
            'SELECT * FROM join_tokens WHERE id = ? AND used_at IS NULL AND expires_at > ? ORDER BY created_at, hash',
            id,
            now,
          )
          .map(tokenOf),
      ),
    withdrawAll: () => database.write(() => void database.run('DELETE FROM join_tokens WHERE used_at IS NULL')),
    redeem: (redemption) => database.write(() => redeem(database, redemption)),
    admit: (id, admission, limit) => database.write(() => admit(database, id, { ...admission, limit })),
  }
}

function redeem(
  database: SqliteDatabase,
  { hash, binding }: Parameters<JoinStore['redeem']>[0],
): Awaited<ReturnType<JoinStore['redeem']>> {
  // The condition and the mark are one statement: among concurrent callers the row count names the winner.
  const consumed = database.run(
    'UPDATE join_tokens SET used_at = ? WHERE hash = ? AND used_at IS NULL AND expires_at > ?',
    binding.now,
    hash,
    binding.now,
  )
  const row = database.one('SELECT * FROM join_tokens WHERE hash = ?', hash)
  if (row === null) return { outcome: 'unknown' }
  if (consumed !== 1) return { outcome: row['used_at'] === null ? 'expired' : 'used' }
  const bound = bindInstance(database, text(row, 'id'), binding)
  // A token is not spent on a key that another workload has.
  if (bound === 'bound_elsewhere' || bound === null) {
    database.run('UPDATE join_tokens SET used_at = NULL WHERE hash = ?', hash)
    return { outcome: 'bound_elsewhere' }
  }
  return { outcome: 'redeemed', bound }
}

type Admission = Parameters<JoinStore['admit']>[1] & { readonly limit: number }

function admit(
  database: SqliteDatabase,
  id: string,
  { proof, binding, limit }: Admission,
): Awaited<ReturnType<JoinStore['admit']>> {
  database.run('DELETE FROM used_proofs WHERE expires_at <= ?', binding.now)
  const full = whole(database.one('SELECT count(*) AS n FROM used_proofs') ?? {}, 'n') >= limit
  // Also where it is full: whoever comes again with a used proof learns that.
  const used = database.one('SELECT 1 FROM used_proofs WHERE hash = ?', proof.hash) !== null
  if (used || full) return { outcome: used ? 'used' : 'full' }
  const bound = bindInstance(database, id, binding)
  if (bound === null) return { outcome: 'unregistered' }
  if (bound === 'bound_elsewhere') return { outcome: 'bound_elsewhere' }
  database.run('INSERT INTO used_proofs (hash, expires_at) VALUES (?, ?)', proof.hash, proof.expiresAt)
  return { outcome: 'admitted', bound }
}
