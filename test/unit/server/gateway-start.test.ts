/** A gateway process put together for real, beside a real authority: start, stop, restart, and what must not start. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { compilePolicy, Secret } from '@doorward/core'
import {
  aesGcmSealer,
  join as joinAuthority,
  openIdentity,
  openMcpClient,
  randomBytes,
  readBody,
  systemRuntime,
} from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { startGateway } from '../../../packages/server/src/apps/gateway.ts'
import type {
  GatewayEvent,
  GatewayOptions,
  GatewaySettings,
  RunningGateway,
} from '../../../packages/server/src/apps/gateway.ts'
import { silentLog } from '../../../packages/server/src/observability/log.ts'
import { defaultCipherSuites } from '../../../packages/enforcement/src/wire/listener.ts'
import { noEffects } from '@doorward/enforcement'
import { makeFolders, removeFolders, startTestAuthority, trustDomain } from '../../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../../fixtures/authority/running.ts'
import { freePorts } from '../../fixtures/deployment.ts'
import { dial } from '../../fixtures/raw-http.ts'
import { pemOf } from '../../fixtures/trust-fixture.ts'

const gatewayId = 'spiffe://test.example/doorward/gateway/main'
const agentId = 'spiffe://test.example/agent/planner'
const plenty = { count: 1_000_000, periodSeconds: 60 }

let folders: Folders
let authority: TestAuthority
let settings: GatewaySettings
let agent: Identity
const closing = new AbortController()

before(async () => {
  folders = await makeFolders()
  const [main, admin, enrol, open, ...gatewayPorts] = await freePorts(7)
  const at = (port: number | undefined) => ({ host: '127.0.0.1', port: port ?? 0 })
  const compiled = compilePolicy({
    trustDomain,
    rbac: [{ role: 'admin', permissions: ['*'] }],
    roles: [{ role: 'caller', permissions: ['read:echo/*'] }],
    bindings: [],
    servers: ['echo', 'missing'],
  })
  if (!compiled.ok) throw new AggregateError(compiled.problems)
  const publicUrl = `https://127.0.0.1:${main}`
  authority = await startTestAuthority({
    folders,
    settings: {
      publicUrl,
      listeners: { main: at(main), admin: at(admin), enrol: at(enrol), public: at(open) },
      policy: compiled.policy,
      allowedAudience: () => true,
    },
  })
  await authority.running.registerWorkload({ id: gatewayId, roles: ['gateway'] }, 'test')
  await authority.running.registerWorkload({ id: agentId, roles: ['caller'] }, 'test')
  settings = {
    name: 'main',
    trustDomain,
    stateDir: join(folders.root, 'state', 'gateway'),
    keyDir: folders.keyDir,
    publicUrl: `https://127.0.0.1:${gatewayPorts[0]}`,
    issuer: publicUrl,
    listeners: { main: at(gatewayPorts[0]), admin: at(gatewayPorts[1]), public: at(gatewayPorts[2]) },
    servers: {
      echo: {
        kind: 'stdio',
        command: [
          process.execPath,
          join(process.cwd(), 'node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
        ],
        cwd: process.cwd(),
        env: {},
        effects: { ...noEffects, read: ['echo'] },
      },
      missing: { kind: 'stdio', command: ['no-such-program'], cwd: process.cwd(), env: {}, effects: noEffects },
    },
    path: process.env['PATH'] ?? '',
    policy: compiled.policy,
    staleness: { fullSeconds: 60, reducedSeconds: 300 },
    security: {
      cipherSuites: defaultCipherSuites,
      headers: { 'X-Frame-Options': 'DENY' },
      connectionLimits: { global: plenty, perIp: () => plenty, ipKey: (address) => address },
      perUser: plenty,
      quotas: [],
      listenerLimits: { handshakes: { count: 1000, periodSeconds: 1 } },
    },
  }
  agent = await newAgent()
})

after(async () => {
  closing.abort()
  agent.close()
  await authority.stop()
  await removeFolders(folders)
})

async function newAgent(): Promise<Identity> {
  const folder = join(folders.root, 'agent')
  const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
  const { joinString } = await authority.running.createJoinString(agentId, 'test')
  await joinAuthority({ folder, sealer, joinString: joinString.reveal(), authorityUrl: settings.issuer })
  const identity = await openIdentity({ folder, sealer })
  await identity.prepare()
  void identity.run(closing.signal)
  return identity
}

interface Started {
  readonly gateway: RunningGateway
  readonly events: GatewayEvent[]
  readonly stop: () => Promise<void>
}

async function start(more: Partial<GatewaySettings> = {}, options: Partial<GatewayOptions> = {}): Promise<Started> {
  const stopping = new AbortController()
  const events: GatewayEvent[] = []
  const joinString = async () => (await authority.running.createJoinString(gatewayId, 'test')).joinString.reveal()
  const gateway = await startGateway(
    { ...settings, ...more },
    { signal: stopping.signal, report: (event) => events.push(event), log: silentLog, joinString, ...options },
  )
  return {
    gateway,
    events,
    stop: async () => {
      stopping.abort()
      await gateway.stopped
    },
  }
}

const nobody = async (): Promise<string> => Promise.reject(new Error('must not be asked'))

const client = (server: string) => {
  const url = `${settings.publicUrl}/mcp/${server}`
  const endpoint = {
    url,
    audience: url,
    expectedId: { uri: gatewayId, trustDomain, segments: ['doorward', 'gateway', 'main'] },
  }
  return openMcpClient({ fetch: agent, endpoint, runtime: systemRuntime, client: { name: 'test', version: '1' } })
}

async function read(path: string): Promise<{ status: number; text: string }> {
  const url = `https://127.0.0.1:${settings.listeners.admin.port}${path}`
  const expectedId = { uri: gatewayId, trustDomain, segments: ['doorward', 'gateway', 'main'] }
  const answer = await agent.call(url, { audience: `${settings.publicUrl}/admin`, expectedId })
  return { status: answer.status, text: Buffer.from(await readBody(answer, 1_000_000)).toString('utf8') }
}

test('without identity and without a join string it says what is missing, and leaves nothing that keeps it from starting', async () => {
  await rejects(startGateway(settings, { signal: closing.signal, report: () => undefined, log: silentLog }), {
    code: 'join_string_missing',
  })
})

test('it joins, serves a real server, and stops cleanly', async () => {
  const { gateway, stop } = await start()
  equal(gateway.id, gatewayId)
  deepEqual(gateway.health(), { ready: true, reasons: [] })
  const mcp = await client('echo')
  deepEqual(
    (await mcp.list('tools/list', 'tools')).map((tool) => tool['name']),
    ['echo'],
  )
  const answer = await mcp.request('tools/call', { name: 'echo', arguments: { message: 'hi' } })
  equal(answer.ok, true)
  ok(answer.decision?.decision?.startsWith('test.example/gateway/main#'))
  await mcp.close()
  await stop()
  equal(gateway.health().ready, false)
})

test('a second start reuses the identity; a second instance on the same folder is refused', async () => {
  const { stop } = await start({}, { joinString: nobody })
  await rejects(start({}, { joinString: nobody }), { code: 'state_in_use' })
  await stop()
})

test('the folder of another kind, name or openness is refused and left as it is', async () => {
  await rejects(start({ stateDir: join(folders.root, 'state', 'authority') }), { code: /^state_(?:kind|in_use)$/ })
  await rejects(start({ name: 'other', keyFile: join(folders.keyDir, 'gateway-main.key') }), {
    code: /^record_foreign$|^gateway_identity$/,
  })
  await chmod(settings.stateDir, 0o755)
  await rejects(start(), { code: 'state_folder_mode' })
  await chmod(settings.stateDir, 0o700)
  const { stop } = await start({}, { joinString: nobody })
  await stop()
})

test('a missing key file is told, and nothing is made in its place', async () => {
  await rejects(start({ keyFile: join(folders.keyDir, 'nothing.key') }), { code: 'key_file_missing' })
})

test('a port in use stops the start, and the folder is free again', async () => {
  const taken = authority.running.addresses.main
  await rejects(start({ listeners: { ...settings.listeners, public: taken } }), { code: 'port_in_use' })
  const { stop } = await start()
  await stop()
})

test('a server that cannot start is told to its caller and to the operator, and the others serve', async () => {
  const { stop, events } = await start()
  await rejects(client('echo').then(async (mcp) => mcp.close().then(() => client('missing'))))
  await authority.running.registerWorkload({ id: agentId, roles: ['caller', 'admin'] }, 'test')
  await settled()
  await rejects(client('missing'))
  ok(
    events.some(
      (event) => event.type === 'warning' && event.code === 'server_ended' && event.text.includes('no-such-program'),
    ),
  )
  const mcp = await client('echo')
  await mcp.close()
  await stop()
})

test('status and record are for operators, health for everybody', async () => {
  const { stop } = await start()
  const status = JSON.parse((await read('/v1/status')).text) as {
    health: { ready: boolean }
    trust: { freshness: string }
  }
  equal(status.health.ready, true)
  equal(status.trust.freshness, 'fresh')
  const lines = (await read('/v1/record')).text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { index: number; origin: string })
  deepEqual(
    lines.map(({ index }) => index),
    lines.map((_line, i) => i),
  )
  equal(lines[0]?.origin, 'test.example/gateway/main')
  await authority.running.registerWorkload({ id: agentId, roles: ['caller'] }, 'test')
  await settled()
  equal((await read('/v1/status')).status, 403)
  await stop()
})

test('a workload that is no longer registered loses its live connection', async () => {
  const { stop } = await start()
  const { chain, privateKey } = agent.credentials.current()
  const socket = await dial({
    host: '127.0.0.1',
    port: settings.listeners.main.port,
    ca: agent.material().anchors.map(pemOf),
    cert: chain.map(pemOf).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  })
  const closed = once(socket, 'close')
  await removeAgent()
  await closed
  await stop()
})

/** A changed registration has reached the gateway. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 400))
}

/** As an operator would, over the admin API. */
async function removeAgent(): Promise<void> {
  const operator = 'spiffe://test.example/doorward/operator/test'
  await authority.running.registerWorkload({ id: operator, roles: ['admin'] }, 'test')
  const folder = join(folders.root, 'operator')
  const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
  const { joinString } = await authority.running.createJoinString(operator, 'test')
  await joinAuthority({ folder, sealer, joinString: joinString.reveal(), authorityUrl: settings.issuer })
  const identity = await openIdentity({ folder, sealer })
  await identity.prepare()
  const url = `https://127.0.0.1:${authority.running.addresses.admin.port}/v1/workloads?id=${encodeURIComponent(agentId)}`
  const answer = await identity.call(url, {
    method: 'DELETE',
    audience: settings.issuer,
    expectedId: identity.authorityId,
  })
  identity.close()
  ok(answer.status < 300, `status ${answer.status}`)
}
