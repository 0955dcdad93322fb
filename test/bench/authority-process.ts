/** A real authority with everybody registered and invited; it answers with its addresses and the join tokens. */

import { parseJoinString, Secret } from '@doorward/core'
import type { PostgresOptions } from '../../packages/server/src/storage/postgres/options.ts'
import { startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { AuthorityReady, BenchDatabase } from './authority/messages.ts'
import { started, tell } from './child.ts'

const { workloads, database } = await started('authority')
const { running } = await startTestAuthority(database === null ? {} : { settings: { database: optionsOf(database) } })
const invite = async (_: unknown, i: number): Promise<AuthorityReady['tokens'][number]> => {
  const id = `spiffe://${trustDomain}/bench/${i}`
  await running.registerWorkload({ id, roles: [] }, 'bench')
  const { joinString } = await running.createJoinString(id, 'bench')
  return { id, token: parseJoinString(joinString.reveal()).token?.reveal() ?? '' }
}
const tokens = await Promise.all(Array.from({ length: workloads }, invite))
const ready: AuthorityReady = { port: running.addresses.main.port, addresses: running.addresses, tokens }
tell(ready)

function optionsOf({ host, port, user, password, database }: BenchDatabase): PostgresOptions {
  const secret = new Secret(password)
  return {
    addresses: [{ host, port }],
    user,
    password: async () => secret,
    database,
    tls: null,
    applicationName: 'bench',
  }
}
