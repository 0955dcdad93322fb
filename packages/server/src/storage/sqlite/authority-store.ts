/** The authority's store on one SQLite file, `authority.db`. */

import type { AuthorityStore } from '../../authority/ports.ts'
import { authoritySchema } from '../migrations/sqlite-001-authority.ts'
import { manyAuthoritiesSchema } from '../migrations/sqlite-002-many-authorities.ts'
import { receiptsSchema } from '../migrations/sqlite-003-receipts.ts'
import { trustKeysSchema } from '../migrations/sqlite-004-trust-keys.ts'
import { jwtSvidKeysSchema } from '../migrations/sqlite-005-jwt-svid-keys.ts'
import { audiencesSchema } from '../migrations/sqlite-006-audiences.ts'
import { frontSchema } from '../migrations/sqlite-007-front.ts'
import { frontEpochsSchema } from '../migrations/sqlite-008-front-epochs.ts'
import { sqliteAcks } from './acks.ts'
import { sqliteAlarms } from './alarms.ts'
import { sqliteCeremonies } from './ceremonies.ts'
import { sqliteCrls } from './crls.ts'
import { openSqlite } from './database.ts'
import { sqliteDenials } from './denials.ts'
import { sqliteDomain } from './domain.ts'
import { sqliteFront } from './front.ts'
import { sqliteInstances } from './instances.ts'
import { sqliteIssuance } from './issuance.ts'
import { sqliteJoins } from './joins.ts'
import { sqliteKeySlots } from './key-slots.ts'
import { sqliteLeases } from './leases.ts'
import { sqliteRegistrations } from './registrations.ts'
import { sqliteRevocations } from './revocations.ts'
import { sqliteTrustStates } from './trust-states.ts'

export interface SqliteAuthorityStore extends AuthorityStore {
  close(): void
}

/** 'DwA1' in ASCII. */
const APPLICATION_ID = 0x44774131
const migrations = [
  { version: 1, sql: authoritySchema },
  { version: 2, sql: manyAuthoritiesSchema },
  { version: 3, sql: receiptsSchema },
  { version: 4, sql: trustKeysSchema },
  { version: 5, sql: jwtSvidKeysSchema },
  { version: 6, sql: audiencesSchema },
  { version: 7, sql: frontSchema },
  { version: 8, sql: frontEpochsSchema },
]

/** Opens or, with `create`, makes the store. Codes as at `openSqlite`. */
export function openAuthorityStore(path: string, options: { readonly create: boolean }): SqliteAuthorityStore {
  const database = openSqlite({ path, applicationId: APPLICATION_ID, migrations, create: options.create })
  return {
    domain: sqliteDomain(database),
    registrations: sqliteRegistrations(database),
    joins: sqliteJoins(database),
    issuance: sqliteIssuance(database),
    slots: sqliteKeySlots(database),
    denials: sqliteDenials(database),
    revocations: sqliteRevocations(database),
    trust: sqliteTrustStates(database),
    instances: sqliteInstances(database),
    leases: sqliteLeases(database),
    acks: sqliteAcks(database),
    ceremonies: sqliteCeremonies(database),
    alarms: sqliteAlarms(database),
    crls: sqliteCrls(database),
    front: sqliteFront(database),
    close: () => database.close(),
  }
}
