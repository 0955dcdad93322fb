/** Two authorities on one database: one waits until the root has named it, and is shut out again by a recovery. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Secret, backdatingSeconds, checkAnchor, readCertificate, toSeconds, workloadId } from '@doorward/core'
import {
  AdminClient,
  aesGcmSealer,
  importP256,
  join as joinDomain,
  openIdentity,
  randomBytes,
  sha256,
  systemClock,
} from '@doorward/sdk'
import type { CeremonyView, Identity } from '@doorward/sdk'
import type { ProbeTarget } from '../../packages/server/src/apps/denied-keys.ts'
import { recover } from '../../packages/server/src/apps/recovery.ts'
import { fileRootSigner, signedBy } from '../../packages/server/src/apps/root-signer.ts'
import type { RootSigner } from '../../packages/server/src/apps/root-signer.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { makeFolders, recordOf, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../fixtures/authority/running.ts'
import { enrolled, joined, joinToken, requestToken, tokenFor, tryEnrol } from '../fixtures/authority/workload.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'

let server: PostgresServer
let folders: { readonly main: Folders; readonly west: Folders }
let main: TestAuthority
let west: TestAuthority
let operator: Identity
let admin: AdminClient
let signer: RootSigner
let issuer: string
let settingsOf: (name: 'main' | 'west') => object

before(async () => {
  server = await PostgresServer.start()
  folders = { main: await makeFolders(), west: await makeFolders() }
  const database = await server.createDatabase()
  const ports = await freePorts(8)
  issuer = `https://127.0.0.1:${ports[0]}`
  settingsOf = (name) => {
    const at = (index: number) => ({ host: '127.0.0.1', port: ports[index + (name === 'main' ? 0 : 4)] ?? 0 })
    return {
      name,
      database: storeOptions(server, { database, applicationName: `doorward ${name}` }),
      publicUrl: issuer,
      listeners: { main: at(0), admin: at(1), enrol: at(2), public: at(3) },
    }
  }
  main = await startTestAuthority({ folders: folders.main, settings: settingsOf('main') })
  const id = workloadId(trustDomain, 'operator', 'ann').uri
  await main.running.registerWorkload({ id, roles: ['admin'] }, 'test')
  const { joinString } = await main.running.createJoinString(id, 'test')
  const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
  const folder = join(folders.main.root, 'ann')
  await joinDomain({ folder, sealer, joinString: joinString.reveal(), authorityUrl: issuer })
  operator = await openIdentity({ folder, sealer })
  await operator.prepare()
  const { host, port } = main.running.addresses.admin
  const expectedId = workloadId(trustDomain, 'doorward', 'authority')
  admin = new AdminClient(operator, { url: `https://${host}:${port}`, audience: issuer, expectedId })
  signer = await fileRootSigner(join(folders.main.keyDir, 'recovery-root.pem'))
})
after(async () => {
  operator.close()
  for (const one of [main, west]) await one.stop()
  for (const one of Object.values(folders)) await removeFolders(one)
  await server.remove()
})

async function poll<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  for (let turn = 0; turn < 600; turn++) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return assert.fail(`not in time: ${what}`)
}

test('CA-4: a further authority serves nobody before the root has named its key, and says which key that is', async () => {
  const starting = startTestAuthority({ folders: folders.west, settings: settingsOf('west') })
  const asked = await poll(async () => {
    const wanted = await admin.wantedDelegation()
    return wanted.authorities.some(({ name }) => name === 'west') ? wanted : undefined
  }, 'west among those who want to be named')
  assert.deepEqual(
    asked.authorities.map(({ name, isNew }) => [name, isNew]),
    [
      ['main', false],
      ['west', true],
    ],
  )
  const places = operator.trustStore.view()?.state.authorities.map(({ name }) => name)
  assert.deepEqual(places, ['main'])
  await admin.delegate(await signedBy(signer, asked.statement, operator))
  west = await starting
  const waited = west.events.flatMap((event) => (event.type === 'warning' ? [event] : []))
  const { thumbprint = '' } = asked.authorities[1] ?? {}
  assert.ok(waited.some(({ code, text }) => code === 'delegation_wanted' && text.includes(thumbprint)))

  // What the one has issued, the other takes.
  const agent = await joined(west, `spiffe://${trustDomain}/agent/western`)
  const token = async () => {
    const client = await RawClient.open(main.running.addresses.main, agent)
    return tokenFor(client, issuer).finally(() => client.close())
  }
  assert.ok((await poll(() => token().catch(() => undefined), 'a token')).length > 0)
})

test('CA-1: each authority is an anchor of its own, signed by itself and no other, for seven days', async () => {
  const anchors = await poll(async () => {
    await operator.prepare()
    const known = operator.trustStore.view()?.state.anchors ?? []
    return known.length === 2 ? known : undefined
  }, 'an anchor of each')
  const read = anchors.map(({ certificate }) => {
    const anchor = readCertificate(certificate, { sha256 })
    assert.ok(!('problem' in anchor))
    return anchor
  })
  assert.equal(new Set(read.map(({ subjectKeyId }) => subjectKeyId)).size, 2)
  for (const anchor of read) {
    assert.equal(checkAnchor(anchor, toSeconds(systemClock()), importP256), null)
    assert.equal(anchor.notAfter - anchor.notBefore - backdatingSeconds, 7 * 86_400)
  }
})

test('RV-6: an authority that a recovery excludes is refused with all that it has issued, and signs nothing more', async () => {
  const agent = await joined(west, `spiffe://${trustDomain}/agent/lost`)
  const target = (listener: 'main' | 'admin', path: string): ProbeTarget => {
    const place = main.running.addresses[listener]
    return {
      listener: `authority main ${listener}`,
      place,
      host: `${place.host}:${place.port}`,
      method: 'GET',
      path,
      audience: issuer,
    }
  }
  const looks: CeremonyView[] = []
  const { verdict, ceremony, probes } = await recover({
    identity: operator,
    admin,
    wanted: { reason: 'west was broken into', exclude: ['west'] },
    resume: false,
    signer,
    targets: [target('main', '/v1/trust-state'), target('admin', '/v1/status')],
    onLook: (look) => looks.push(look),
    signal: new AbortController().signal,
  })
  assert.equal(verdict, 'proven', JSON.stringify(probes))
  assert.deepEqual([ceremony.exclude, ceremony.authorities], [['west'], ['main']])

  // The certificate that west has issued opens nothing at main.
  const refused = await RawClient.open(main.running.addresses.main, agent)
    .then(async (client) => (await requestToken(client, issuer)).status)
    .catch(() => null)
  assert.ok(refused === null || refused === 401)

  // Nobody is sent to west any more, and whoever comes gets nothing from it.
  await operator.prepare()
  assert.deepEqual(
    operator.trustStore.view()?.state.authorities.map(({ name }) => name),
    ['main'],
  )
  const id = `spiffe://${trustDomain}/agent/next`
  await main.running.registerWorkload({ id, roles: [] }, 'test')
  const issuedBefore = (await recordOf(folders.west)).filter(({ body }) => body['outcome'] === 'issued').length
  const { answer } = await poll(async () => {
    const attempt = await tryEnrol(west, { token: await joinToken(main, id) }).catch(() => undefined)
    return attempt === undefined || attempt.answer.status === 200 ? undefined : attempt
  }, 'a refusal by west')
  assert.equal(answer.headers['doorward-code'], 'authority_unready')
  const issuedAfter = (await recordOf(folders.west)).filter(({ body }) => body['outcome'] === 'issued').length
  assert.equal(issuedAfter, issuedBefore)
  assert.ok(west.events.some((event) => event.type === 'warning' && event.code === 'delegation_wanted'))

  // It does not come back by itself, while others join as ever.
  const asked = await admin.wantedDelegation()
  assert.deepEqual(
    asked.authorities.map(({ name }) => name),
    ['main'],
  )
  enrolled(id, await tryEnrol(main, { token: await joinToken(main, id) }))
})
