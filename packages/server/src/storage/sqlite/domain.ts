/** The trust domain as founded. */

import type { DomainStore } from '../../authority/ports.ts'
import { domainOf } from '../authority-rows.ts'
import type { SqliteDatabase } from './database.ts'

export function sqliteDomain(database: SqliteDatabase): DomainStore {
  return {
    found: ({ trustDomain, root, epoch, foundedAt }) =>
      database.write(
        () =>
          database.run(
            'INSERT INTO domain (one, trust_domain, root, epoch, founded_at) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
            trustDomain,
            JSON.stringify(root),
            epoch,
            foundedAt,
          ) === 1,
      ),
    read: () =>
      database.read(() => {
        const row = database.one('SELECT * FROM domain')
        return row === null ? null : domainOf(row)
      }),
  }
}
