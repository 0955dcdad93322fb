/** What the front keeps, on SQLite. */

import type { FrontGrant, FrontStore } from '../../authority/front/store.ts'
import { userName } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { consentOf, grantOf, heldGrantOf, liveTokensOf, stepOf } from '../front-rows.ts'
import { text, textOrNull, whole } from '../row.ts'
import type { SqliteDatabase } from './database.ts'

export function sqliteFront(database: SqliteDatabase): FrontStore {
  return {
    keep: (step, now, limits) => database.write(() => keep(database, step, now, limits)),
    take: ({ kind, hash, browser }, now) =>
      database.write(() => {
        const row = database.one(
          'DELETE FROM front_steps WHERE kind = ? AND hash = ? AND browser = ? AND expires_at > ? RETURNING document',
          kind,
          hash,
          browser,
          now,
        )
        return row === null ? null : stepOf(row)
      }),
    grant: (grant, code, now, limits) =>
      database.write(() => {
        prune(database, now)
        return makeRoom(database, grant, limits) ? insertGrant(database, grant, code) : 'full'
      }),
    redeem: (codeHash, now) => database.write(() => redeem(database, codeHash, now)),
    find: (id, now) =>
      database.read(() => {
        const row = database.one('SELECT * FROM front_grants WHERE id = ? AND expires_at > ?', id, now)
        return row === null ? null : heldGrantOf(row)
      }),
    rotate: (...asked) => database.write(() => rotate(database, ...asked)),
    end: (id, now) =>
      database.write(() => {
        const row = database.one('DELETE FROM front_grants WHERE id = ? RETURNING tokens', id)
        return row === null ? null : liveTokensOf(row, now)
      }),
    remember: (consent, now, limits) => database.write(() => remember(database, consent, now, limits)),
    forget: (person) =>
      database.write(() => {
        if (person === null) database.run('DELETE FROM front_consents')
        else database.run('DELETE FROM front_consents WHERE person = ?', person)
      }),
    recall: ({ person, clientId, redirectUri, resource }, now) =>
      database.read(() => {
        const row = database.one(
          'SELECT * FROM front_consents WHERE person = ? AND client = ? AND redirect = ? AND resource = ? AND expires_at > ?',
          person,
          clientId,
          redirectUri,
          resource,
          now,
        )
        return row === null ? null : consentOf(row)
      }),
  }
}

type Arguments<Verb extends keyof FrontStore> = Parameters<FrontStore[Verb]>

function count(database: SqliteDatabase, sql: string, ...values: readonly string[]): number {
  return whole(database.one(sql, ...values) ?? {}, 'n')
}

function keep(database: SqliteDatabase, ...[kept, now, limits]: Arguments<'keep'>): void {
  const { hash, browser, owner, source, step, expiresAt } = kept
  database.run('DELETE FROM front_steps WHERE expires_at <= ?', now)
  makeWay(database, kept, limits)
  database.run(
    'INSERT INTO front_steps (kind, hash, browser, owner, source, document, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    step.kind,
    hash,
    browser,
    owner,
    source,
    JSON.stringify(step),
    expiresAt,
  )
}

function makeWay(
  database: SqliteDatabase,
  { owner, step: { kind } }: Arguments<'keep'>[0],
  { perOwner, total }: Arguments<'keep'>[2],
): void {
  database.run(
    `DELETE FROM front_steps WHERE kind = ? AND hash IN
       (SELECT hash FROM front_steps WHERE owner = ? AND kind = ? ORDER BY expires_at DESC, hash LIMIT -1 OFFSET ?)`,
    kind,
    owner,
    kind,
    perOwner - 1,
  )
  if (count(database, 'SELECT count(*) AS n FROM front_steps WHERE kind = ?', kind) < total) return
  database.run(
    `DELETE FROM front_steps WHERE kind = ? AND hash =
       (SELECT hash FROM front_steps WHERE kind = ? AND source =
         (SELECT source FROM front_steps WHERE kind = ? GROUP BY source ORDER BY count(*) DESC, source LIMIT 1)
       ORDER BY expires_at, hash LIMIT 1)`,
    kind,
    kind,
    kind,
  )
}

/** Also what nobody came for. */
function prune(database: SqliteDatabase, now: EpochSeconds): void {
  database.run('DELETE FROM front_grants WHERE expires_at <= ? OR (redeemed = 0 AND code_expires_at <= ?)', now, now)
}

/** The oldest of the person makes way; others never do. */
function makeRoom(
  database: SqliteDatabase,
  { person }: FrontGrant,
  { perOwner, total }: Arguments<'grant'>[3],
): boolean {
  const name = userName(person.user)
  database.run(
    `DELETE FROM front_grants WHERE id IN
       (SELECT id FROM front_grants WHERE person = ? ORDER BY created_at DESC, id LIMIT -1 OFFSET ?)`,
    name,
    perOwner - 1,
  )
  return count(database, 'SELECT count(*) AS n FROM front_grants') < total
}

function insertGrant(database: SqliteDatabase, grant: FrontGrant, code: Arguments<'grant'>[1]): 'granted' {
  const { id, seal, request, person, epoch, jkt, createdAt, expiresAt } = grant
  database.run(
    `INSERT INTO front_grants
       (id, person, code_hash, code_expires_at, redeemed, refresh_hash, jkt, epoch, tokens, document, created_at, expires_at)
     VALUES (?, ?, ?, ?, 0, NULL, ?, ?, '[]', ?, ?, ?)`,
    id,
    userName(person.user),
    code.hash,
    code.expiresAt,
    jkt,
    epoch,
    JSON.stringify({ request, person, seal }),
    createdAt,
    expiresAt,
  )
  return 'granted'
}

function redeem(database: SqliteDatabase, ...[codeHash, now]: Arguments<'redeem'>) {
  // The condition and the mark are one statement: among concurrent callers the row names the winner.
  const won = database.one(
    'UPDATE front_grants SET redeemed = 1 WHERE code_hash = ? AND redeemed = 0 AND code_expires_at > ? RETURNING *',
    codeHash,
    now,
  )
  if (won !== null) return { outcome: 'redeemed', grant: grantOf(won) } as const
  const spent = database.one('SELECT id FROM front_grants WHERE code_hash = ? AND redeemed = 1', codeHash)
  return spent === null ? ({ outcome: 'unknown' } as const) : ({ outcome: 'spent', id: text(spent, 'id') } as const)
}

function rotate(database: SqliteDatabase, ...[{ id, from, to, jkt, token }, now, mostLive]: Arguments<'rotate'>) {
  const row = database.one('SELECT * FROM front_grants WHERE id = ? AND redeemed = 1 AND expires_at > ?', id, now)
  if (row === null) return 'gone'
  if (textOrNull(row, 'refresh_hash') !== from) return 'spent'
  const tokens = liveTokensOf(row, now)
  if (tokens.length >= mostLive) return 'busy'
  database.run(
    'UPDATE front_grants SET refresh_hash = ?, jkt = ?, tokens = ? WHERE id = ?',
    to,
    jkt,
    JSON.stringify([...tokens, token]),
    id,
  )
  return 'rotated'
}

function remember(
  database: SqliteDatabase,
  ...[consent, now, { perOwner, total }]: Arguments<'remember'>
): 'kept' | 'full' {
  const { person, clientId, redirectUri, resource, scopes, epoch, grantedAt, expiresAt } = consent
  database.run('DELETE FROM front_consents WHERE expires_at <= ?', now)
  database.run(
    'DELETE FROM front_consents WHERE person = ? AND client = ? AND redirect = ? AND resource = ?',
    person,
    clientId,
    redirectUri,
    resource,
  )
  if (count(database, 'SELECT count(*) AS n FROM front_consents WHERE person = ?', person) >= perOwner) return 'full'
  if (count(database, 'SELECT count(*) AS n FROM front_consents') >= total) return 'full'
  database.run(
    `INSERT INTO front_consents (person, client, redirect, resource, scopes, epoch, granted_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    person,
    clientId,
    redirectUri,
    resource,
    JSON.stringify(scopes),
    epoch,
    grantedAt,
    expiresAt,
  )
  return 'kept'
}
