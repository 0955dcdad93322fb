/** The trust domain as founded. */

import type { DomainStore } from '../../authority/ports.ts'
import type { SqliteDatabase } from './database.ts'
import { jwk, seconds, text, whole } from './row.ts'

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
        if (row === null) return null
        return {
          trustDomain: text(row, 'trust_domain'),
          root: jwk(row, 'root'),
          epoch: whole(row, 'epoch'),
          foundedAt: seconds(row, 'founded_at'),
        }
      }),
  }
}
