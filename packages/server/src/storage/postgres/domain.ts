/** The trust domain as founded. */

import type { DomainStore } from '../../authority/ports.ts'
import { domainOf } from '../authority-rows.ts'
import type { PostgresDatabase } from './database.ts'

export function postgresDomain(database: PostgresDatabase): DomainStore {
  return {
    found: ({ trustDomain, root, epoch, foundedAt }) =>
      database.write(
        async (tx) =>
          (await tx.run(
            'INSERT INTO domain (one, trust_domain, root, epoch, founded_at) VALUES (1, $1, $2, $3, $4) ON CONFLICT DO NOTHING',
            trustDomain,
            JSON.stringify(root),
            epoch,
            foundedAt,
          )) === 1,
      ),
    read: async () => {
      const row = await database.one('SELECT trust_domain, root, epoch, founded_at FROM domain')
      return row === null ? null : domainOf(row)
    },
  }
}
