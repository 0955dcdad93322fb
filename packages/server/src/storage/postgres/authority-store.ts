/** The authority's store in one PostgreSQL database, for any number of authorities. */

import type { AuthorityStore } from '../../authority/ports.ts'
import { postgresAuthoritySchema } from '../migrations/postgres-001-authority.ts'
import { postgresReceiptsSchema } from '../migrations/postgres-002-receipts.ts'
import { postgresTrustKeysSchema } from '../migrations/postgres-003-trust-keys.ts'
import { postgresJwtSvidKeysSchema } from '../migrations/postgres-004-jwt-svid-keys.ts'
import { postgresAudiencesSchema } from '../migrations/postgres-005-audiences.ts'
import { postgresFrontSchema } from '../migrations/postgres-006-front.ts'
import { postgresFrontEpochsSchema } from '../migrations/postgres-007-front-epochs.ts'
import { postgresAcks } from './acks.ts'
import { postgresAlarms } from './alarms.ts'
import { postgresCeremonies } from './ceremonies.ts'
import { postgresCrls } from './crls.ts'
import { openPostgres } from './database.ts'
import { postgresDenials } from './denials.ts'
import { postgresDomain } from './domain.ts'
import { postgresFront } from './front.ts'
import { postgresInstances } from './instances.ts'
import { postgresIssuance } from './issuance.ts'
import { postgresJoins } from './joins.ts'
import { postgresKeySlots } from './key-slots.ts'
import { postgresLeases } from './leases.ts'
import type { PostgresMigration } from './migrate.ts'
import type { PostgresOptions } from './options.ts'
import { postgresRegistrations } from './registrations.ts'
import { postgresRevocations } from './revocations.ts'
import { postgresTrustStates } from './trust-states.ts'

export interface PostgresAuthorityStore extends AuthorityStore {
  /** Sessions that are open or being opened. */
  readonly sessions: number
  close(): Promise<void>
}

export const authorityApplication = 'doorward authority'
export const authorityMigrations: readonly PostgresMigration[] = [
  { version: 1, minimumProgram: 1, sql: postgresAuthoritySchema },
  { version: 2, minimumProgram: 1, sql: postgresReceiptsSchema },
  { version: 3, minimumProgram: 1, sql: postgresTrustKeysSchema },
  { version: 4, minimumProgram: 4, sql: postgresJwtSvidKeysSchema },
  { version: 5, minimumProgram: 4, sql: postgresAudiencesSchema },
  { version: 6, minimumProgram: 1, sql: postgresFrontSchema },
  { version: 7, minimumProgram: 1, sql: postgresFrontEpochsSchema },
]

/** Opens or, with `create`, makes the store. Codes as at `openPostgres`. */
export async function openPostgresAuthorityStore(
  options: PostgresOptions,
  { create }: { readonly create: boolean },
): Promise<PostgresAuthorityStore> {
  const schema = { application: authorityApplication, migrations: authorityMigrations, create }
  const database = await openPostgres(options, schema)
  return {
    domain: postgresDomain(database),
    registrations: postgresRegistrations(database),
    joins: postgresJoins(database),
    issuance: postgresIssuance(database),
    slots: postgresKeySlots(database),
    denials: postgresDenials(database),
    revocations: postgresRevocations(database),
    trust: postgresTrustStates(database),
    instances: postgresInstances(database),
    leases: postgresLeases(database),
    acks: postgresAcks(database),
    ceremonies: postgresCeremonies(database),
    alarms: postgresAlarms(database),
    crls: postgresCrls(database),
    front: postgresFront(database),
    get sessions() {
      return database.sessions
    },
    close: () => database.close(),
  }
}
