/** What the doctor finds: each look at something that is right, and at the same thing when it is not. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import { parseSpiffeId } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { loudFindings, mistakes } from '../../../packages/server/src/apps/doctor/configuration.ts'
import { authorityFindings, gatewayFindings } from '../../../packages/server/src/apps/doctor/deployment.ts'
import { examine } from '../../../packages/server/src/apps/doctor/doctor.ts'
import { fileFindings } from '../../../packages/server/src/apps/doctor/files.ts'
import type { Finding } from '../../../packages/server/src/apps/doctor/finding.ts'
import { runtimeFinding } from '../../../packages/server/src/apps/doctor/host.ts'
import { listenerFindings } from '../../../packages/server/src/apps/doctor/listeners.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import { foreign, foreignKey, serverAuth } from '../../fixtures/foreign-certificates.ts'
import { TrustFixture } from '../../fixtures/trust-fixture.ts'

let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-doctor-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const shown = (findings: readonly Finding[]) => findings.map(({ check, verdict }) => `${check} ${verdict}`)

test('runtimes that have ended or lack a security release are told apart', () => {
  deepEqual(
    ['v24.22.1', 'v24.21.0', 'v24.1.0', 'v22.20.0'].map((version) => runtimeFinding(version).verdict),
    ['fine', 'warning', 'failure', 'failure'],
  )
  match(runtimeFinding('v22.20.0').message, /has ended/)
})

test('files that others can write, folders that others can enter, and files of others', async () => {
  const stateDir = join(folder, 'state')
  await mkdir(join(stateDir, 'inner'), { recursive: true, mode: 0o700 })
  await writeFile(join(stateDir, 'inner', 'log'), 'x', { mode: 0o644 })
  await symlink('/etc/passwd', join(stateDir, 'link'))
  const keyDir = join(folder, 'keys')
  await mkdir(keyDir, { mode: 0o700 })
  deepEqual(shown(await fileFindings({ stateDir, keyDir })), ['files fine', 'files fine'])
  await chmod(join(stateDir, 'inner'), 0o755)
  await chmod(join(stateDir, 'inner', 'log'), 0o666)
  const found = await fileFindings({ stateDir, keyDir })
  deepEqual(shown(found), ['files failure', 'files failure', 'files fine'])
  match(found.map(({ next }) => next).join('; '), /chmod 0700 .*inner; chmod 0600 .*log/)
  const missing = await fileFindings({ stateDir: join(folder, 'none'), keyDir })
  deepEqual(shown(missing), ['files unknown', 'files fine'])
})

function configured(text: string) {
  const file = join(folder, 'doorward.yaml')
  const configuration = parseConfiguration(`trust_domain: acme.example\n${text}`, file)
  return deploymentOf({ file, folder, configuration })
}

test('what is weaker than it could be is told by its key', () => {
  const safe = 'state: { key_dir: /etc/doorward/keys }\n'
  deepEqual(shown(loudFindings(configured(safe))), ['weak_options fine'])
  const weak = configured(
    `${safe}servers: { notes: { url: "http://127.0.0.1:1/mcp", insecure_upstream: true, approval: "off" } }\ntrust: { full_seconds: 600, reduced_seconds: 900 }\nlisteners: { admin: "0.0.0.0:8444" }\n`,
  )
  const keys = loudFindings(weak).map(({ where = '' }) => where.split(' ')[1])
  deepEqual(keys, [
    'servers.notes.insecure_upstream',
    'servers.notes.approval',
    'trust.full_seconds',
    'listeners.admin',
  ])
})

test('every mistake of a configuration is a finding', () => {
  try {
    configured('security: { rbac: { enabled: false } }\nunknown: 1\n')
    ok(false)
  } catch (error) {
    const found = mistakes(error)
    equal(found.length, 2)
    ok(found.every(({ verdict, next = '' }) => verdict === 'failure' && next.includes('config check')))
  }
})

const now = 1_800_000_000
const healthy: JsonObject = {
  store_ahead_milliseconds: 3,
  delegation: { expires_at: now + 60 * 86_400 },
  recovery_root: { at_hand: false },
  authorities: [{ name: 'main', live: true, delegated: true }],
  slots: [{ purpose: 'x509', key_id: 'ab', state: 'active', dead: false, not_after: now + 5 * 86_400, next: null }],
  followers: 3,
  straggling: 0,
  crls: [{ key_id: 'ab', next_update: now + 100 }],
  ceremony: null,
  alarms: [],
}

test('an authority that is well, and each thing that can be wrong with it', () => {
  ok(authorityFindings(healthy, now).every(({ verdict }) => verdict === 'fine'))
  const slot = { purpose: 'x509', key_id: 'ab', state: 'active', dead: false, not_after: now + 5 * 86_400, next: null }
  const rows: readonly (readonly [JsonObject, string])[] = [
    [{ store_ahead_milliseconds: -20_000 }, 'authority_clock failure'],
    [{ delegation: { expires_at: now - 1 } }, 'delegation failure'],
    [{ delegation: { expires_at: now + 86_400 } }, 'delegation warning'],
    [{ recovery_root: { at_hand: true } }, 'recovery_root warning'],
    [{ authorities: [{ name: 'b', live: false, delegated: true }] }, 'authority_live failure'],
    [{ authorities: [{ name: 'b', live: true, delegated: false }] }, 'authority_live warning'],
    [{ slots: [{ ...slot, dead: true }] }, 'keys failure'],
    [{ slots: [{ ...slot, not_after: now + 60 }] }, 'keys warning'],
    [{ slots: [{ ...slot, next: { step: 'activate', at: now - 7200 } }] }, 'keys warning'],
    [{ straggling: 2 }, 'followers warning'],
    [{ crls: [{ key_id: 'ab', next_update: now - 1 }] }, 'revocation_list failure'],
    [{ ceremony: { id: '1', stage: 'failed' } }, 'ceremony failure'],
    [{ ceremony: { id: '1', stage: 'publish' } }, 'ceremony warning'],
    [
      { alarms: [{ detector: 'DT-1', last_at: now * 1000 - 5, count: 1, subject: 's', detail: 'd' }] },
      'alarms warning',
    ],
  ]
  for (const [change, found] of rows) {
    const bad = authorityFindings({ ...healthy, ...change }, now).filter(({ verdict }) => verdict !== 'fine')
    deepEqual(shown(bad), [found])
    ok(bad.every(({ next }) => next !== undefined))
  }
})

test('what an authority does not say is unknown, and never fine', () => {
  const withoutMember = (one: JsonObject, member: string): JsonObject =>
    Object.fromEntries(Object.entries(one).filter(([name]) => name !== member))
  const rows: readonly (readonly [string, string])[] = [
    ['store_ahead_milliseconds', 'authority_clock'],
    ['delegation', 'delegation'],
    ['recovery_root', 'recovery_root'],
    ['authorities', 'authority_live'],
    ['slots', 'keys'],
    ['followers', 'followers'],
    ['straggling', 'followers'],
    ['crls', 'revocation_list'],
    ['ceremony', 'ceremony'],
    ['alarms', 'alarms'],
  ]
  for (const [member, check] of rows) {
    const found = authorityFindings(withoutMember(healthy, member), now).filter(({ verdict }) => verdict !== 'fine')
    deepEqual(shown(found), [`${check} unknown`], member)
    ok(found.every(({ next }) => next !== undefined))
  }
  deepEqual(
    Object.keys(healthy).filter((member) => rows.every(([one]) => one !== member)),
    [],
  )
  const inner: readonly (readonly [JsonObject, string])[] = [
    [{ recovery_root: {} }, 'recovery_root'],
    [{ slots: [{ purpose: 'x509', key_id: 'ab' }] }, 'keys'],
    [{ alarms: [{ detector: 'DT-1' }] }, 'alarms'],
    [{ straggling: '0' }, 'followers'],
  ]
  for (const [change, check] of inner) {
    const found = authorityFindings({ ...healthy, ...change }, now).filter(({ verdict }) => verdict !== 'fine')
    deepEqual(shown(found), [`${check} unknown`])
  }
})

test('what a gateway does not say is unknown, and never fine', () => {
  const expected = { audiences: new Map<string, string>(), fullSeconds: 60 }
  const found = gatewayFindings({}, expected, now)
  deepEqual(
    shown(found),
    ['gateway_ready', 'gateway_trust', 'gateway_certificate', 'servers', 'audiences', 'edge_certificate'].map(
      (check) => `${check} unknown`,
    ),
  )
})

test('a gateway that is well, and each thing that can be wrong with it', () => {
  const server = { name: 'notes', audience: 'https://gw.example/mcp/notes', circuit: 'closed', failures_in_a_row: 0 }
  const well: JsonObject = {
    health: { ready: true, reasons: [] },
    trust: { freshness: 'fresh', age_seconds: 3 },
    certificate: { not_after: now + 1000 },
    servers: [server],
    services: [],
    edge: null,
  }
  const expected = { audiences: new Map([['notes', server.audience]]), fullSeconds: 60 }
  ok(gatewayFindings(well, expected, now).every(({ verdict }) => verdict === 'fine'))
  const rows: readonly (readonly [JsonObject, string])[] = [
    [{ health: { ready: false, reasons: ['trust_stale'] } }, 'gateway_ready failure'],
    [{ trust: { freshness: 'stale', age_seconds: 400 } }, 'gateway_trust failure'],
    [{ certificate: null }, 'gateway_certificate failure'],
    [{ servers: [{ ...server, circuit: 'open', failures_in_a_row: 5 }] }, 'servers warning'],
    [{ servers: [{ ...server, audience: 'https://old.example/mcp/notes' }] }, 'audiences failure'],
    [{ services: [{ ...server, name: 'orders' }] }, 'audiences failure'],
    [{ edge: { certificate_ends: now - 1 } }, 'edge_certificate failure'],
    [{ edge: { certificate_ends: now + 86_400 } }, 'edge_certificate warning'],
  ]
  for (const [change, found] of rows)
    deepEqual(
      shown(gatewayFindings({ ...well, ...change }, expected, now).filter(({ verdict }) => verdict !== 'fine')),
      [found],
    )
})

interface Shown {
  readonly cert: string
  readonly key: string
}

function selfSigned(uri: string): Shown {
  const key = foreignKey('p256')
  const { der } = foreign({ subject: [], key, ca: false, uris: [uri], purposes: [serverAuth] })
  const cert = new X509Certificate(der).toString()
  return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

const gatewayPath = 'doorward/gateway/main'

/** Each answer on its own, so that one thing is wrong with it. */
async function looked(server: Server, trust: TrustFixture | null): Promise<Finding> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { readonly port: number }
  const id = parseSpiffeId(`spiffe://acme.example/${gatewayPath}`)
  const place = { name: 'main', address: { host: '127.0.0.1', port }, id, mirror: 'require' as const }
  try {
    const [finding, ...more] = await listenerFindings(place, trust?.holder ?? null)
    deepEqual(more, [])
    ok(finding !== undefined)
    return finding
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((done) => server.close(done))
  }
}

const speaking = (material: Shown, more: TlsOptions = {}) =>
  createTlsServer({ ...material, minVersion: 'TLSv1.3', ...more })

test('a listener is who its chain says, by the trust state: anybody can write a name', async () => {
  const trust = await TrustFixture.create('acme.example')
  const own = await trust.issue(gatewayPath)
  const found = async (server: Server, by: TrustFixture | null = trust) => {
    const { verdict, message, got = '', next } = await looked(server, by)
    equal(next === undefined, verdict === 'fine')
    return [verdict, verdict === 'fine' ? message : (got.split(':')[0] ?? '')]
  }
  const uri = own.id.uri
  deepEqual(await found(speaking(own.pem)), ['fine', `answers as ${uri}, by TLS 1.3 alone`])
  deepEqual(await found(speaking(selfSigned(uri))), ['failure', 'server_profile'])
  const elsewhere = await TrustFixture.create('acme.example')
  deepEqual(await found(speaking((await elsewhere.issue(gatewayPath)).pem)), ['failure', 'server_untrusted'])
  deepEqual(await found(speaking((await trust.issue('agent/planner')).pem)), ['failure', 'server_identity'])
  const unrecorded = await trust.issue(gatewayPath, { mirrored: false })
  deepEqual(await found(speaking(unrecorded.pem)), ['failure', 'server_not_issued'])
  deepEqual(await found(speaking(own.pem), null), ['unknown', ''])
  trust.denied.serials.push(own.certificate.serial)
  trust.apply()
  deepEqual(await found(speaking(own.pem)), ['failure', 'server_revoked'])
})

test('a listener refuses TLS 1.2 by the alert for it; what begins to speak it does, and all else is unknown', async () => {
  const trust = await TrustFixture.create('acme.example')
  const own = await trust.issue(gatewayPath)
  const both: TlsOptions = { minVersion: 'TLSv1.2' }
  const asking: TlsOptions = { ...both, requestCert: true, rejectUnauthorized: true, ca: trust.anchorsPem }
  for (const options of [both, asking]) {
    const { verdict, message } = await looked(speaking(own.pem, options), trust)
    deepEqual([verdict, message], ['failure', 'TLS 1.2 is spoken here'])
  }
  // No suite of TLS 1.2 in common: an alert, and another one.
  const { verdict, got } = await looked(speaking(own.pem, { ...both, ciphers: 'TLS_AES_128_GCM_SHA256:PSK' }), trust)
  deepEqual([verdict, got], ['unknown', 'alert 40'])
  let connections = 0
  const fickle = speaking(own.pem).on('connection', (socket: Socket) => {
    if (++connections > 1) socket.destroy()
  })
  const closed = await looked(fickle, trust)
  equal(closed.verdict, 'unknown')
  match(closed.got ?? '', /closed|ECONNRESET/)
})

test('where nothing answers in TLS, or at all, a listener is gone, whether or not there is a trust state', async () => {
  const silent = await looked(
    createServer((socket) => socket.end()),
    null,
  )
  deepEqual([silent.verdict, silent.message], ['failure', 'nothing answers here'])
  const id = parseSpiffeId('spiffe://acme.example/x')
  const gone = { name: 'main', address: { host: '127.0.0.1', port: 1 }, id, mirror: 'require' as const }
  match(String((await listenerFindings(gone, null))[0]?.got), /ECONNREFUSED/)
})

test('a look that throws is a finding that it could not be made', async () => {
  const looks = [{ title: 'two words', run: () => Promise.reject(new Error('broken')) }]
  for await (const { findings } of examine(looks)) deepEqual(shown(findings), ['two_words unknown'])
})
