/** Registered workloads, whose DNS names they have, and which ids were given before. */

import type { EpochSeconds } from '@doorward/core'
import type { Registration, RegistrationRange, RegistrationStore } from '../../authority/ports.ts'
import { registrationOf } from '../authority-rows.ts'
import { seconds, text, whole } from '../row.ts'
import { registrationColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'
import { writeDenial } from './denials.ts'
import type { SqlValue } from './session.ts'
import type { Transaction } from './transaction.ts'
import { TurnReader } from './turn-reader.ts'

/** Ids that were removed; the oldest are forgotten. */
const KEPT_REMOVED = 100_000

function fields(registration: Registration): readonly SqlValue[] {
  const { roles, ttlSeconds, dnsNames, ipAddresses, attestation, updatedAt } = registration
  return [
    JSON.stringify(roles),
    ttlSeconds,
    JSON.stringify(dnsNames),
    JSON.stringify(ipAddresses),
    Number(registration.sharedNames),
    JSON.stringify(attestation),
    Number(registration.singleInstance),
    Number(registration.canary),
    JSON.stringify(registration.audiences),
    updatedAt,
    registration.revision,
  ]
}

const changing =
  'roles, ttl_seconds, dns_names, ip_addresses, shared_names, attestation, single_instance, canary, audiences, updated_at, revision'
const insert = `INSERT INTO registrations (${changing}, id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
const update = `UPDATE registrations SET (${changing}) = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WHERE id = $12`
const find = `SELECT ${registrationColumns} FROM registrations WHERE id = $1`
const removal = 'SELECT removed_at FROM removed_ids WHERE id = $1'

export function postgresRegistrations(database: PostgresDatabase): RegistrationStore {
  const reader = new TurnReader({
    rowsOf: (ids) => database.all(`SELECT ${registrationColumns} FROM registrations WHERE id = ANY($1)`, ids),
    keyOf: (row) => text(row, 'id'),
  })
  return {
    add: (registration, limit, again = false) => database.write((tx) => add(tx, registration, { limit, again })),
    update: (registration, revision) => database.write((tx) => replace(tx, registration, revision)),
    find: async (id) => {
      const row = await reader.find(id)
      return row === null ? null : registrationOf(row)
    },
    list: async () =>
      (await database.all(`SELECT ${registrationColumns} FROM registrations ORDER BY id`)).map(registrationOf),
    canaries: async () =>
      (await database.all('SELECT id FROM registrations WHERE canary = 1 ORDER BY id')).map((row) => text(row, 'id')),
    longerThan: async (ttlSeconds, limit) => {
      const sql = 'SELECT id, ttl_seconds FROM registrations WHERE ttl_seconds > $1 ORDER BY id LIMIT $2'
      const rows = await database.all(sql, ttlSeconds, limit)
      return rows.map((row) => ({ id: text(row, 'id'), ttlSeconds: whole(row, 'ttl_seconds') }))
    },
    range: (range) => rangeOf(database, range),
    holder: async ({ id, dnsNames, sharedNames }) => {
      const row = await database.one(
        `SELECT dns_names.name, dns_names.id FROM unnest($2::text[]) WITH ORDINALITY AS wanted (name, place)
         JOIN dns_names ON dns_names.name = wanted.name JOIN registrations ON registrations.id = dns_names.id
         WHERE dns_names.id <> $1 AND ($3 = 0 OR shared_names = 0) ORDER BY place, dns_names.id LIMIT 1`,
        id,
        dnsNames,
        Number(sharedNames),
      )
      return row === null ? null : { id: text(row, 'id'), name: text(row, 'name') }
    },
    audienceHolder: async (audience) => {
      const row = await database.one('SELECT id FROM audiences WHERE audience = $1', audience)
      return row === null ? null : text(row, 'id')
    },
    removedAt: async (id) => {
      const row = await database.one(removal, id)
      return row === null ? null : seconds(row, 'removed_at')
    },
    remove: (id, denial, revision) =>
      database.write(async (tx) => {
        const held = await tx.one(find, id)
        if (held === null || (revision !== undefined && whole(held, 'revision') !== revision)) return false
        await tx.run('DELETE FROM registrations WHERE id = $1', id)
        await markRegistry(tx)
        await writeDenial(tx, denial)
        await remember(tx, id, denial.issuedBefore)
        return true
      }),
  }
}

async function add(
  tx: Transaction,
  registration: Registration,
  { limit, again }: { readonly limit: number; readonly again: boolean },
): Promise<Awaited<ReturnType<RegistrationStore['add']>>> {
  const { id, createdAt } = registration
  if ((await tx.one(find, id)) !== null) return 'exists'
  if (!again && (await tx.one(removal, id)) !== null) return 'removed'
  if (await isNameTaken(tx, registration)) return 'name_taken'
  if (await isAudienceTaken(tx, registration)) return 'audience_taken'
  if (whole((await tx.one('SELECT count(*) AS n FROM registrations')) ?? {}, 'n') >= limit) return 'full'
  await tx.run(insert, ...fields(registration), id, createdAt)
  await markRegistry(tx)
  await writeNames(tx, registration)
  await writeAudiences(tx, registration)
  await tx.run('DELETE FROM removed_ids WHERE id = $1', id)
  return 'added'
}

async function replace(
  tx: Transaction,
  registration: Registration,
  revision: number,
): Promise<Awaited<ReturnType<RegistrationStore['update']>>> {
  const { id } = registration
  const held = await tx.one(find, id)
  if (held === null) return 'unknown'
  if (whole(held, 'revision') !== revision) return 'changed'
  if (await isNameTaken(tx, registration)) return 'name_taken'
  if (await isAudienceTaken(tx, registration)) return 'audience_taken'
  const instances = await tx.one('SELECT count(*) AS n FROM instances WHERE id = $1 AND locked_at IS NULL', id)
  if (registration.singleInstance && whole(instances ?? {}, 'n') > 1) return 'several_instances'
  await tx.run(update, ...fields({ ...registration, revision: revision + 1 }), id)
  await markRegistry(tx)
  await tx.run('DELETE FROM dns_names WHERE id = $1', id)
  await writeNames(tx, registration)
  await tx.run('DELETE FROM audiences WHERE id = $1', id)
  await writeAudiences(tx, registration)
  if (!registration.attestation.some(({ kind }) => kind === 'join_token'))
    await tx.run('DELETE FROM join_tokens WHERE id = $1 AND used_at IS NULL', id)
  return 'updated'
}

/** Whoever has read the list before knows by this that it is another one now. */
async function markRegistry(tx: Transaction): Promise<void> {
  await tx.run('UPDATE domain SET registry = registry + 1')
}

async function writeNames(tx: Transaction, { id, dnsNames }: Registration): Promise<void> {
  await tx.run(
    'INSERT INTO dns_names (name, id) SELECT DISTINCT name, $1 FROM unnest($2::text[]) AS name',
    id,
    dnsNames,
  )
}

async function writeAudiences(tx: Transaction, { id, audiences }: Registration): Promise<void> {
  if (audiences.length === 0) return
  await tx.run(
    'INSERT INTO audiences (audience, id) SELECT DISTINCT audience, $1 FROM unnest($2::text[]) AS audience',
    id,
    audiences,
  )
}

async function isAudienceTaken(tx: Transaction, { id, audiences }: Registration): Promise<boolean> {
  if (audiences.length === 0) return false
  const held = 'SELECT id FROM audiences WHERE audience = ANY ($2::text[]) AND id <> $1 LIMIT 1'
  return (await tx.one(held, id, audiences)) !== null
}

async function isNameTaken(tx: Transaction, { id, dnsNames, sharedNames }: Registration): Promise<boolean> {
  const others = await tx.all(
    `SELECT shared_names FROM dns_names JOIN registrations USING (id)
     WHERE dns_names.name = ANY ($2::text[]) AND dns_names.id <> $1`,
    id,
    dnsNames,
  )
  return others.some((row) => !sharedNames || whole(row, 'shared_names') === 0)
}

/** What sorts between `under/` and its successor lies below it: the character after the slash is `0`. */
async function rangeOf(
  database: PostgresDatabase,
  { under, after, limit }: RegistrationRange,
): Promise<readonly Registration[]> {
  const from = after ?? ''
  const all = `SELECT ${registrationColumns} FROM registrations WHERE id > $1`
  const rows =
    under === null
      ? await database.all(`${all} ORDER BY id LIMIT $2`, from, limit)
      : await database.all(
          `${all} AND (id = $3 OR (id >= $4 AND id < $5)) ORDER BY id LIMIT $2`,
          from,
          limit,
          under,
          `${under}/`,
          `${under}0`,
        )
  return rows.map(registrationOf)
}

async function remember(tx: Transaction, id: string, at: EpochSeconds): Promise<void> {
  await tx.run(
    'INSERT INTO removed_ids (id, removed_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET removed_at = excluded.removed_at',
    id,
    at,
  )
  await tx.run(
    `DELETE FROM removed_ids WHERE id IN (
       SELECT id FROM removed_ids ORDER BY removed_at, id
       LIMIT greatest(0, (SELECT count(*) FROM removed_ids) - ${KEPT_REMOVED}))`,
  )
}
