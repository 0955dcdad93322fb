/** The way to a PostgreSQL store over a network: its server is verified, by chain and by name. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { isDoorwardError, parseTrustDomain, workloadId } from '@doorward/core'
import { openPostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import type { PostgresOptions } from '../../packages/server/src/storage/postgres/options.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'
import { newAnchor, newLeaf, pemOf } from '../fixtures/trust-fixture.ts'

const trustDomain = parseTrustDomain('database.example')
const id = workloadId(trustDomain, 'postgres')
const anchor = await newAnchor(trustDomain)
const ca = pemOf(anchor.der)
const { pem } = await newLeaf(anchor, id, { dnsNames: ['database.example'], ipAddresses: ['127.0.0.1'] })
const [port = 0] = await freePorts(1)
const server = await PostgresServer.start({ tls: { port, certificate: pem.cert, key: pem.key } })
after(() => server.remove())

async function open(more: Partial<PostgresOptions>): Promise<void> {
  const database = await server.createDatabase()
  const options = storeOptions(server, { database, addresses: [{ host: '127.0.0.1', port }], ...more })
  const store = await openPostgresAuthorityStore(options, { create: true })
  const rows = await server.query(
    "SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'doorward test'",
  )
  await store.close()
  assert.ok(rows.every((row) => row['ssl'] === true && row['version'] === 'TLSv1.3'))
}

/** The store says in `got` which check of TLS has failed, by Node's code for it. */
async function refused(more: Partial<PostgresOptions>, reason: string): Promise<void> {
  await assert.rejects(
    open(more),
    (error) => isDoorwardError(error, 'store_unavailable') && error.got?.startsWith(`${reason} `) === true,
  )
}

test('a server whose certificate chains to the configured authority, for the address that was dialled, is spoken to', () =>
  open({ tls: { ca, own: null } }))

test('a server of another authority gets no password', async () => {
  const other = pemOf((await newAnchor(trustDomain)).der)
  await refused({ tls: { ca: other, own: null } }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  await refused({ tls: { ca: null, own: null } }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
})

test('a server whose certificate is for another name gets no password', () =>
  refused({ tls: { ca, own: null }, addresses: [{ host: 'localhost', port }] }, 'ERR_TLS_CERT_ALTNAME_INVALID'))

test('a server that takes only TLS refuses a connection without', async () => {
  await assert.rejects(open({ tls: null }), { code: 'store_login_refused' })
})
