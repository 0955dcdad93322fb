/** Join tokens, consumed once, and the machine keys that they bind. */

import type { JoinStore, JoinToken } from '../../authority/ports.ts'
import type { Row, SqliteDatabase } from './database.ts'
import { jwk, seconds, secondsOrNull, text, whole } from './row.ts'

function tokenOf(row: Row): JoinToken {
  return {
    hash: text(row, 'hash'),
    id: text(row, 'id'),
    createdAt: seconds(row, 'created_at'),
    expiresAt: seconds(row, 'expires_at'),
  }
}

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
    redeem: ({ hash, machineKey, now }) =>
      database.write(() => {
        // The condition and the mark are one statement: among concurrent callers the row count names the winner.
        const consumed = database.run(
          'UPDATE join_tokens SET used_at = ? WHERE hash = ? AND used_at IS NULL AND expires_at > ?',
          now,
          hash,
          now,
        )
        const row = database.one('SELECT * FROM join_tokens WHERE hash = ?', hash)
        if (row === null) return { outcome: 'unknown' }
        if (consumed !== 1) return { outcome: row['used_at'] === null ? 'expired' : 'used' }
        const id = text(row, 'id')
        database.run(
          `INSERT INTO machine_keys (id, jwk, bound_at) VALUES (?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET jwk = excluded.jwk, bound_at = excluded.bound_at`,
          id,
          JSON.stringify(machineKey),
          now,
        )
        return { outcome: 'redeemed', id }
      }),
    findMachineKey: (id) =>
      database.read(() => {
        const row = database.one('SELECT * FROM machine_keys WHERE id = ?', id)
        return row === null ? null : { id, jwk: jwk(row, 'jwk'), boundAt: seconds(row, 'bound_at') }
      }),
  }
}
