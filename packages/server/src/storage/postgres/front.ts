/** What the front keeps, on PostgreSQL. */

import type { FrontGrant, FrontStore } from '../../authority/front/store.ts'
import { userName } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { consentOf, grantOf, heldGrantOf, liveTokensOf, stepOf } from '../front-rows.ts'
import { text, textOrNull, whole } from '../row.ts'
import type { PostgresDatabase } from './database.ts'
import type { Transaction } from './transaction.ts'

const grantColumns = 'id, document, epoch, jkt, refresh_hash, created_at, expires_at'
const consentColumns = 'person, client, redirect, resource, scopes, epoch, granted_at, expires_at'

export function postgresFront(database: PostgresDatabase): FrontStore {
  return {
    keep: (step, now, limits) => database.write((tx) => keep(tx, step, now, limits)),
    take: ({ kind, hash, browser }, now) =>
      database.write(async (tx) => {
        const row = await tx.one(
          'DELETE FROM front_steps WHERE kind = $1 AND hash = $2 AND browser = $3 AND expires_at > $4 RETURNING document',
          kind,
          hash,
          browser,
          now,
        )
        return row === null ? null : stepOf(row)
      }),
    grant: (grant, code, now, limits) =>
      database.write(async (tx) => {
        await prune(tx, now)
        return (await makeRoom(tx, grant, limits)) ? insertGrant(tx, grant, code) : 'full'
      }),
    redeem: (codeHash, now) => database.write((tx) => redeem(tx, codeHash, now)),
    find: async (id, now) => {
      const row = await database.one(
        `SELECT ${grantColumns} FROM front_grants WHERE id = $1 AND expires_at > $2`,
        id,
        now,
      )
      return row === null ? null : heldGrantOf(row)
    },
    rotate: (...asked) => database.write((tx) => rotate(tx, ...asked)),
    end: (id, now) =>
      database.write(async (tx) => {
        const row = await tx.one('DELETE FROM front_grants WHERE id = $1 RETURNING tokens', id)
        return row === null ? null : liveTokensOf(row, now)
      }),
    remember: (consent, now, limits) => database.write((tx) => remember(tx, consent, now, limits)),
    forget: (person) =>
      database.write(async (tx) => {
        if (person === null) await tx.run('DELETE FROM front_consents')
        else await tx.run('DELETE FROM front_consents WHERE person = $1', person)
      }),
    recall: async ({ person, clientId, redirectUri, resource }, now) => {
      const row = await database.one(
        `SELECT ${consentColumns} FROM front_consents
         WHERE person = $1 AND client = $2 AND redirect = $3 AND resource = $4 AND expires_at > $5`,
        person,
        clientId,
        redirectUri,
        resource,
        now,
      )
      return row === null ? null : consentOf(row)
    },
  }
}

type Arguments<Verb extends keyof FrontStore> = Parameters<FrontStore[Verb]>

async function count(tx: Transaction, sql: string, ...values: readonly string[]): Promise<number> {
  return whole((await tx.one(sql, ...values)) ?? {}, 'n')
}

async function keep(tx: Transaction, ...[kept, now, limits]: Arguments<'keep'>): Promise<void> {
  const { hash, browser, owner, source, step, expiresAt } = kept
  await tx.run('DELETE FROM front_steps WHERE expires_at <= $1', now)
  await makeWay(tx, kept, limits)
  await tx.run(
    `INSERT INTO front_steps (kind, hash, browser, owner, source, document, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    step.kind,
    hash,
    browser,
    owner,
    source,
    JSON.stringify(step),
    expiresAt,
  )
}

async function makeWay(
  tx: Transaction,
  { owner, step: { kind } }: Arguments<'keep'>[0],
  { perOwner, total }: Arguments<'keep'>[2],
): Promise<void> {
  await tx.run(
    `DELETE FROM front_steps WHERE kind = $1 AND hash IN
       (SELECT hash FROM front_steps WHERE owner = $2 AND kind = $1 ORDER BY expires_at DESC, hash OFFSET $3)`,
    kind,
    owner,
    perOwner - 1,
  )
  if ((await count(tx, 'SELECT count(*) AS n FROM front_steps WHERE kind = $1', kind)) < total) return
  await tx.run(
    `DELETE FROM front_steps WHERE kind = $1 AND hash =
       (SELECT hash FROM front_steps WHERE kind = $1 AND source =
         (SELECT source FROM front_steps WHERE kind = $1 GROUP BY source ORDER BY count(*) DESC, source LIMIT 1)
       ORDER BY expires_at, hash LIMIT 1)`,
    kind,
  )
}

/** Also what nobody came for. */
async function prune(tx: Transaction, now: EpochSeconds): Promise<void> {
  await tx.run('DELETE FROM front_grants WHERE expires_at <= $1 OR (redeemed = 0 AND code_expires_at <= $1)', now)
}

/** The oldest of the person makes way; others never do. */
async function makeRoom(
  tx: Transaction,
  { person }: FrontGrant,
  { perOwner, total }: Arguments<'grant'>[3],
): Promise<boolean> {
  const name = userName(person.user)
  await tx.run(
    `DELETE FROM front_grants WHERE id IN
       (SELECT id FROM front_grants WHERE person = $1 ORDER BY created_at DESC, id OFFSET $2)`,
    name,
    perOwner - 1,
  )
  return (await count(tx, 'SELECT count(*) AS n FROM front_grants')) < total
}

async function insertGrant(tx: Transaction, grant: FrontGrant, code: Arguments<'grant'>[1]): Promise<'granted'> {
  const { id, seal, request, person, epoch, jkt, createdAt, expiresAt } = grant
  await tx.run(
    `INSERT INTO front_grants
       (id, person, code_hash, code_expires_at, redeemed, refresh_hash, jkt, epoch, tokens, document, created_at, expires_at)
     VALUES ($1, $2, $3, $4, 0, NULL, $5, $6, '[]', $7, $8, $9)`,
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

async function redeem(
  tx: Transaction,
  ...[codeHash, now]: Arguments<'redeem'>
): Promise<Awaited<ReturnType<FrontStore['redeem']>>> {
  // The condition and the mark are one statement: among concurrent callers the row names the winner.
  const won = await tx.one(
    `UPDATE front_grants SET redeemed = 1 WHERE code_hash = $1 AND redeemed = 0 AND code_expires_at > $2
     RETURNING ${grantColumns}`,
    codeHash,
    now,
  )
  if (won !== null) return { outcome: 'redeemed', grant: grantOf(won) } as const
  const spent = await tx.one('SELECT id FROM front_grants WHERE code_hash = $1 AND redeemed = 1', codeHash)
  return spent === null ? ({ outcome: 'unknown' } as const) : ({ outcome: 'spent', id: text(spent, 'id') } as const)
}

async function rotate(
  tx: Transaction,
  ...[{ id, from, to, jkt, token }, now, mostLive]: Arguments<'rotate'>
): Promise<Awaited<ReturnType<FrontStore['rotate']>>> {
  const row = await tx.one(
    'SELECT refresh_hash, tokens FROM front_grants WHERE id = $1 AND redeemed = 1 AND expires_at > $2',
    id,
    now,
  )
  if (row === null) return 'gone'
  if (textOrNull(row, 'refresh_hash') !== from) return 'spent'
  const tokens = liveTokensOf(row, now)
  if (tokens.length >= mostLive) return 'busy'
  await tx.run(
    'UPDATE front_grants SET refresh_hash = $1, jkt = $2, tokens = $3 WHERE id = $4',
    to,
    jkt,
    JSON.stringify([...tokens, token]),
    id,
  )
  return 'rotated'
}

async function remember(
  tx: Transaction,
  ...[consent, now, { perOwner, total }]: Arguments<'remember'>
): Promise<'kept' | 'full'> {
  const { person, clientId, redirectUri, resource, scopes, epoch, grantedAt, expiresAt } = consent
  await tx.run('DELETE FROM front_consents WHERE expires_at <= $1', now)
  await tx.run(
    'DELETE FROM front_consents WHERE person = $1 AND client = $2 AND redirect = $3 AND resource = $4',
    person,
    clientId,
    redirectUri,
    resource,
  )
  if ((await count(tx, 'SELECT count(*) AS n FROM front_consents WHERE person = $1', person)) >= perOwner) return 'full'
  if ((await count(tx, 'SELECT count(*) AS n FROM front_consents')) >= total) return 'full'
  await tx.run(
    `INSERT INTO front_consents (person, client, redirect, resource, scopes, epoch, granted_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
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
