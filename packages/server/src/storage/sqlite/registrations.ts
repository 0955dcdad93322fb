/** Registered workloads, whose DNS names they have, and which ids were given before. */

import type { EpochSeconds } from '@doorward/core'
import type { Registration, RegistrationRange, RegistrationStore } from '../../authority/ports.ts'
import { registrationOf } from '../authority-rows.ts'
import { seconds, text, whole } from '../row.ts'
import type { Row } from '../row.ts'
import type { SqliteDatabase } from './database.ts'
import { writeDenial } from './denials.ts'

/** Ids that were removed; the oldest are forgotten. */
const KEPT_REMOVED = 100_000

function fields(registration: Registration): readonly (string | number)[] {
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

const columns = [
  'roles',
  'ttl_seconds',
  'dns_names',
  'ip_addresses',
  'shared_names',
  'attestation',
  'single_instance',
  'canary',
  'audiences',
  'updated_at',
  'revision',
]
const insert = `INSERT INTO registrations (id, created_at, ${columns.join(', ')}) VALUES (?, ?${', ?'.repeat(columns.length)})`
const update = `UPDATE registrations SET ${columns.map((name) => `${name} = ?`).join(', ')} WHERE id = ?`

export function sqliteRegistrations(database: SqliteDatabase): RegistrationStore {
  return {
    add: (registration, limit, again = false) => database.write(() => add(database, registration, { limit, again })),
    update: (registration, revision) => database.write(() => replace(database, registration, revision)),
    find: (id) => database.read(() => find(database, id)),
    list: () => database.read(() => database.all('SELECT * FROM registrations ORDER BY id').map(registrationOf)),
    canaries: () =>
      database.read(() =>
        database.all('SELECT id FROM registrations WHERE canary = 1 ORDER BY id').map((row) => text(row, 'id')),
      ),
    longerThan: (ttlSeconds, limit) =>
      database.read(() =>
        database
          .all('SELECT id, ttl_seconds FROM registrations WHERE ttl_seconds > ? ORDER BY id LIMIT ?', ttlSeconds, limit)
          .map((row) => ({ id: text(row, 'id'), ttlSeconds: whole(row, 'ttl_seconds') })),
      ),
    range: (range) => database.read(() => rangeOf(database, range)),
    holder: (registration) =>
      database.read(() => {
        const row = holderOf(database, registration)
        return row === null ? null : { id: text(row, 'id'), name: text(row, 'name') }
      }),
    audienceHolder: (audience) =>
      database.read(() => {
        const row = database.one('SELECT id FROM audiences WHERE audience = ?', audience)
        return row === null ? null : text(row, 'id')
      }),
    removedAt: (id) => database.read(() => removedAt(database, id)),
    remove: (id, denial, revision) =>
      database.write(() => {
        const held = find(database, id)
        if (held === null || (revision !== undefined && held.revision !== revision)) return false
        database.run('DELETE FROM registrations WHERE id = ?', id)
        markRegistry(database)
        writeDenial(database, denial)
        remember(database, id, denial.issuedBefore)
        return true
      }),
  }
}

function find(database: SqliteDatabase, id: string): Registration | null {
  const row = database.one('SELECT * FROM registrations WHERE id = ?', id)
  return row === null ? null : registrationOf(row)
}

function add(
  database: SqliteDatabase,
  registration: Registration,
  { limit, again }: { readonly limit: number; readonly again: boolean },
): Awaited<ReturnType<RegistrationStore['add']>> {
  const { id, createdAt } = registration
  if (find(database, id) !== null) return 'exists'
  if (!again && removedAt(database, id) !== null) return 'removed'
  if (isNameTaken(database, registration)) return 'name_taken'
  if (isAudienceTaken(database, registration)) return 'audience_taken'
  if (whole(database.one('SELECT count(*) AS n FROM registrations') ?? {}, 'n') >= limit) return 'full'
  database.run(insert, id, createdAt, ...fields(registration))
  markRegistry(database)
  writeNames(database, registration)
  writeAudiences(database, registration)
  database.run('DELETE FROM removed_ids WHERE id = ?', id)
  return 'added'
}

function replace(
  database: SqliteDatabase,
  registration: Registration,
  revision: number,
): Awaited<ReturnType<RegistrationStore['update']>> {
  const { id } = registration
  const held = find(database, id)
  if (held === null) return 'unknown'
  if (held.revision !== revision) return 'changed'
  if (isNameTaken(database, registration)) return 'name_taken'
  if (isAudienceTaken(database, registration)) return 'audience_taken'
  const instances = whole(
    database.one('SELECT count(*) AS n FROM instances WHERE id = ? AND locked_at IS NULL', id) ?? {},
    'n',
  )
  if (registration.singleInstance && instances > 1) return 'several_instances'
  database.run(update, ...fields({ ...registration, revision: revision + 1 }), id)
  markRegistry(database)
  database.run('DELETE FROM dns_names WHERE id = ?', id)
  writeNames(database, registration)
  database.run('DELETE FROM audiences WHERE id = ?', id)
  writeAudiences(database, registration)
  if (!registration.attestation.some(({ kind }) => kind === 'join_token'))
    database.run('DELETE FROM join_tokens WHERE id = ? AND used_at IS NULL', id)
  return 'updated'
}

/** Whoever has read the list before knows by this that it is another one now. */
function markRegistry(database: SqliteDatabase): void {
  database.run('UPDATE domain SET registry = registry + 1')
}

function writeNames(database: SqliteDatabase, { id, dnsNames }: Registration): void {
  for (const name of new Set(dnsNames)) database.run('INSERT INTO dns_names (name, id) VALUES (?, ?)', name, id)
}

function writeAudiences(database: SqliteDatabase, { id, audiences }: Registration): void {
  for (const audience of new Set(audiences))
    database.run('INSERT INTO audiences (audience, id) VALUES (?, ?)', audience, id)
}

function isAudienceTaken(database: SqliteDatabase, { id, audiences }: Registration): boolean {
  const held = 'SELECT id FROM audiences WHERE audience = ? AND id <> ?'
  return audiences.some((audience) => database.one(held, audience, id) !== null)
}

function isNameTaken(database: SqliteDatabase, { id, dnsNames, sharedNames }: Registration): boolean {
  const others = dnsNames.flatMap((name) =>
    database.all(
      'SELECT shared_names FROM dns_names JOIN registrations USING (id) WHERE name = ? AND id <> ?',
      name,
      id,
    ),
  )
  return others.some((row) => !sharedNames || whole(row, 'shared_names') === 0)
}

function holderOf(
  database: SqliteDatabase,
  { id, dnsNames, sharedNames }: Pick<Registration, 'id' | 'dnsNames' | 'sharedNames'>,
): Row | null {
  const held = `SELECT name, id FROM dns_names JOIN registrations USING (id)
    WHERE name = ? AND id <> ? AND (? = 0 OR shared_names = 0) ORDER BY id LIMIT 1`
  for (const name of dnsNames) {
    const row = database.one(held, name, id, Number(sharedNames))
    if (row !== null) return row
  }
  return null
}

/** What sorts between `under/` and its successor lies below it: the character after the slash is `0`. */
function rangeOf(database: SqliteDatabase, { under, after, limit }: RegistrationRange): readonly Registration[] {
  const from = after ?? ''
  const rows =
    under === null
      ? database.all('SELECT * FROM registrations WHERE id > ? ORDER BY id LIMIT ?', from, limit)
      : database.all(
          'SELECT * FROM registrations WHERE id > ? AND (id = ? OR (id >= ? AND id < ?)) ORDER BY id LIMIT ?',
          from,
          under,
          `${under}/`,
          `${under}0`,
          limit,
        )
  return rows.map(registrationOf)
}

function removedAt(database: SqliteDatabase, id: string): EpochSeconds | null {
  const row = database.one('SELECT removed_at FROM removed_ids WHERE id = ?', id)
  return row === null ? null : seconds(row, 'removed_at')
}

function remember(database: SqliteDatabase, id: string, at: EpochSeconds): void {
  database.run(
    'INSERT INTO removed_ids (id, removed_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET removed_at = excluded.removed_at',
    id,
    at,
  )
  const kept = whole(database.one('SELECT count(*) AS n FROM removed_ids') ?? {}, 'n')
  if (kept > KEPT_REMOVED)
    database.run(
      'DELETE FROM removed_ids WHERE id IN (SELECT id FROM removed_ids ORDER BY removed_at, id LIMIT ?)',
      kept - KEPT_REMOVED,
    )
}
