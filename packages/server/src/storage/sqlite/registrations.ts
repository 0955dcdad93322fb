/** Registered workloads. */

import type { Registration, RegistrationStore } from '../../authority/ports.ts'
import type { Row, SqliteDatabase } from './database.ts'
import { writeDenial } from './denials.ts'
import { seconds, text, texts, whole } from './row.ts'

export function registrationOf(row: Row): Registration {
  return {
    id: text(row, 'id'),
    roles: texts(row, 'roles'),
    ttlSeconds: whole(row, 'ttl_seconds'),
    dnsNames: texts(row, 'dns_names'),
    ipAddresses: texts(row, 'ip_addresses'),
    createdAt: seconds(row, 'created_at'),
  }
}

function fields({ roles, ttlSeconds, dnsNames, ipAddresses }: Registration): readonly [string, number, string, string] {
  return [JSON.stringify(roles), ttlSeconds, JSON.stringify(dnsNames), JSON.stringify(ipAddresses)]
}

export function sqliteRegistrations(database: SqliteDatabase): RegistrationStore {
  return {
    add: (registration, limit) =>
      database.write(() => {
        if (database.one('SELECT 1 FROM registrations WHERE id = ?', registration.id) !== null) return 'exists'
        if (whole(database.one('SELECT count(*) AS n FROM registrations') ?? {}, 'n') >= limit) return 'full'
        database.run(
          'INSERT INTO registrations (id, roles, ttl_seconds, dns_names, ip_addresses, created_at) VALUES (?, ?, ?, ?, ?, ?)',
          registration.id,
          ...fields(registration),
          registration.createdAt,
        )
        return 'added'
      }),
    update: (registration) =>
      database.write(
        () =>
          database.run(
            'UPDATE registrations SET roles = ?, ttl_seconds = ?, dns_names = ?, ip_addresses = ? WHERE id = ?',
            ...fields(registration),
            registration.id,
          ) === 1,
      ),
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
