/** Registered workloads. */

import type { AttestationRule } from '../../authority/attest/rule.ts'
import type { Registration, RegistrationStore } from '../../authority/ports.ts'
import type { Row, SqliteDatabase } from './database.ts'
import { writeDenial } from './denials.ts'
import { document, seconds, text, texts, whole } from './row.ts'

export function registrationOf(row: Row): Registration {
  return {
    id: text(row, 'id'),
    roles: texts(row, 'roles'),
    ttlSeconds: whole(row, 'ttl_seconds'),
    dnsNames: texts(row, 'dns_names'),
    ipAddresses: texts(row, 'ip_addresses'),
    attestation: document(row, 'attestation') as readonly AttestationRule[],
    singleInstance: whole(row, 'single_instance') === 1,
    canary: whole(row, 'canary') === 1,
    createdAt: seconds(row, 'created_at'),
    updatedAt: seconds(row, 'updated_at'),
  }
}

function fields(registration: Registration): readonly (string | number)[] {
  const { roles, ttlSeconds, dnsNames, ipAddresses, attestation, singleInstance, canary, updatedAt } = registration
  return [
    JSON.stringify(roles),
    ttlSeconds,
    JSON.stringify(dnsNames),
    JSON.stringify(ipAddresses),
    JSON.stringify(attestation),
    Number(singleInstance),
    Number(canary),
    updatedAt,
  ]
}

const columns = [
  'roles',
  'ttl_seconds',
  'dns_names',
  'ip_addresses',
  'attestation',
  'single_instance',
  'canary',
  'updated_at',
]
const insert = `INSERT INTO registrations (id, created_at, ${columns.join(', ')}) VALUES (?, ?${', ?'.repeat(columns.length)})`
const update = `UPDATE registrations SET ${columns.map((name) => `${name} = ?`).join(', ')} WHERE id = ?`

export function sqliteRegistrations(database: SqliteDatabase): RegistrationStore {
  return {
    add: (registration, limit) =>
      database.write(() => {
        if (database.one('SELECT 1 FROM registrations WHERE id = ?', registration.id) !== null) return 'exists'
        if (whole(database.one('SELECT count(*) AS n FROM registrations') ?? {}, 'n') >= limit) return 'full'
        database.run(insert, registration.id, registration.createdAt, ...fields(registration))
        return 'added'
      }),
    update: (registration) =>
      database.write(() => database.run(update, ...fields(registration), registration.id) === 1),
    find: (id) =>
      database.read(() => {
        const row = database.one('SELECT * FROM registrations WHERE id = ?', id)
        return row === null ? null : registrationOf(row)
      }),
    list: () => database.read(() => database.all('SELECT * FROM registrations ORDER BY id').map(registrationOf)),
    remove: (id, denial) =>
      database.write(() => {
        if (database.run('DELETE FROM registrations WHERE id = ?', id) === 0) return false
        writeDenial(database, denial)
        return true
      }),
  }
}
