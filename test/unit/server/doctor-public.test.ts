/** What the doctor says of the certificates that edge and front show: one that is right, and one thing wrong at a time. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import { createServer } from 'node:tls'
import type { Server } from 'node:tls'
import { examine, looksOf } from '../../../packages/server/src/apps/doctor/doctor.ts'
import { publicCertificateFinding } from '../../../packages/server/src/apps/doctor/public-certificates.ts'
import type { PublicPlace } from '../../../packages/server/src/apps/doctor/public-certificates.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import { foreign, foreignKey, serverAuth } from '../../fixtures/foreign-certificates.ts'

const day = 86_400
const now = Math.floor(Date.now() / 1000)
const key = foreignKey('p256')

let server: Server
let port = 0

before(async () => {
  server = createServer({ minVersion: 'TLSv1.3' })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  port = (server.address() as { readonly port: number }).port
})
after(() => new Promise((done) => server.close(done)))

function shows(name: string, from: number, until: number): void {
  const { der } = foreign({ subject: [], key, ca: false, dns: [name], from, until, purposes: [serverAuth] })
  const cert = new X509Certificate(der).toString()
  server.setSecureContext({ cert, key: key.export({ type: 'pkcs8', format: 'pem' }), minVersion: 'TLSv1.3' })
}

async function found(more: Partial<PublicPlace> = {}): Promise<string> {
  const address = { host: '127.0.0.1', port }
  const place = { name: 'front', address, publicUrl: 'https://login.acme.example:8444', acme: true, ...more } as const
  const { check, verdict, where, next } = await publicCertificateFinding(place, now)
  match(where ?? '', new RegExp(`^${place.name} 127\\.0\\.0\\.1:`))
  equal(next === undefined, verdict === 'fine')
  return `${check} ${verdict}`
}

test('a certificate for the public name with life left is fine', async () => {
  shows('login.acme.example', -10 * day, 80 * day)
  equal(await found(), 'front_certificate fine')
  equal(await found({ acme: false }), 'front_certificate fine')
})

test('one that has ended, or has not begun, is a failure', async () => {
  shows('login.acme.example', -90 * day, -60)
  equal(await found(), 'front_certificate failure')
  shows('login.acme.example', day, 90 * day)
  equal(await found(), 'front_certificate failure')
})

test('one for another name is a failure, however long it holds', async () => {
  shows('www.acme.example', -10 * day, 80 * day)
  equal(await found(), 'front_certificate failure')
  equal(await found({ publicUrl: 'https://www.acme.example' }), 'front_certificate fine')
  equal(await found({ publicUrl: 'https://192.0.2.7:8444' }), 'front_certificate failure')
})

test('renewal is late when less is left than attempts take that fail, for files when it is a week', async () => {
  shows('login.acme.example', -70 * day, 20 * day)
  deepEqual([await found(), await found({ acme: false })], ['front_certificate warning', 'front_certificate fine'])
  shows('login.acme.example', -85 * day, 5 * day)
  equal(await found({ acme: false }), 'front_certificate warning')
  shows('login.acme.example', -70 * day, 31 * day)
  equal(await found(), 'front_certificate fine')
})

test('where nothing answers, that is said', async () => {
  equal(await found({ name: 'edge', address: { host: '127.0.0.1', port: 1 } }), 'edge_listener failure')
})

test('edge and front are looked at wherever they are configured', async () => {
  const text = `trust_domain: acme.example
listeners: { main: "127.0.0.1:1", admin: "127.0.0.1:2", public: "127.0.0.1:3", edge: "127.0.0.1:4" }
issuers: { corp: { issuer: https://login.acme.example, claims: { groups: groups } } }
servers: { notes: { url: https://notes.acme.example/mcp, effects: { read: [read_*] } } }
edge:
  public_url: https://mcp.acme.example
  certificate: { file: edge.pem, key_file: edge.key }
  authorization_server: front
  servers: [notes]
authority:
  listeners: { main: "127.0.0.1:5", admin: "127.0.0.1:6", enrol: "127.0.0.1:7", public: "127.0.0.1:8", front: "127.0.0.1:${port}" }
  front:
    public_url: https://sign-in.acme.example
    certificate: { file: front.pem, key_file: front.key }
    provider: corp
    client_id: doorward-front
    client_secret_file: front.secret
    clients: { claude: { client_id: claude, redirect_uris: [https://claude.ai/api/mcp/auth_callback] } }
`
  const loaded = {
    configuration: parseConfiguration(text, 'doorward.yaml'),
    file: '/nowhere/doorward.yaml',
    folder: '/nowhere',
  }
  const refuses = () => Promise.reject(new Error('nobody'))
  const online = { open: refuses, authorityStatus: refuses, gatewayStatus: refuses }
  const looks = looksOf({ deployment: deploymentOf(loaded), folder: null, identities: [], online })
  shows('sign-in.acme.example', -10 * day, 80 * day)
  const told: string[] = []
  for await (const { findings } of examine(looks.filter(({ title }) => title === 'listeners')))
    told.push(...findings.map(({ check, verdict }) => `${check} ${verdict}`))
  deepEqual(
    told.filter((one) => !one.startsWith('listener ')),
    ['edge_listener failure', 'front_certificate fine'],
  )
})
