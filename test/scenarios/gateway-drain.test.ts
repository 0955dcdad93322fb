/** Gateways that stop and start again: what is under way ends well, and whoever asks another one meanwhile loses no call. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import { get } from 'node:https'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { compilePolicy, parseSpiffeId } from '@doorward/core'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity, McpClient, McpEndpoint } from '@doorward/sdk'
import { startGateway } from '../../packages/server/src/apps/gateway.ts'
import type { RunningGateway } from '../../packages/server/src/apps/gateway.ts'
import { silentLog } from '../../packages/server/src/observability/log.ts'
import { defaultCipherSuites } from '../../packages/server/src/transports/listener.ts'
import { noEffects } from '../../packages/server/src/transports/tool-effects.ts'
import { testSecurity, trustDomain } from '../fixtures/authority/running.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'

const WORKERS = 4
const GRACE_MILLISECONDS = 10_000
const SLOW_MILLISECONDS = 1500

/** A gateway that is stopped and started again at the same place. */
interface Restartable {
  readonly endpoint: McpEndpoint
  readonly ports: readonly number[]
  gateway: RunningGateway
  stop: () => Promise<void>
  restart: () => Promise<void>
}

let system: RunningSystem
let server: Server
let executed = 0
let caller: Identity
let east: Restartable
let west: Restartable

before(async () => {
  system = await startSystem()
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => void answer(request.method ?? '', Buffer.concat(chunks).toString(), response))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  east = await restartable('east')
  west = await restartable('west')
  caller = await system.open(await system.join('agent/caller'))
})
after(async () => {
  server?.closeAllConnections()
  server?.close()
  await Promise.all([east?.stop(), west?.stop()])
  await system?.stop()
})

async function answer(method: string, body: string, response: ServerResponse): Promise<void> {
  if (method === 'GET') return void response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(': open\n\n')
  if (method === 'DELETE') return void response.writeHead(200).end()
  const message = JSON.parse(body) as { id?: number; method: string; params?: { name?: string } }
  if (message.id === undefined) return void response.writeHead(202).end()
  const calls = message.method === 'tools/call'
  if (calls) await sleep(message.params?.name === 'read_slowly' ? SLOW_MILLISECONDS : 5)
  if (calls) executed++
  const serverInfo = { name: 'rolling', version: '1' }
  const result = calls
    ? { content: [{ type: 'text', text: 'done' }] }
    : { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo }
  const text = JSON.stringify({ jsonrpc: '2.0', id: message.id, result })
  response.writeHead(200, { 'Content-Type': 'application/json', 'Mcp-Session-Id': 'one' }).end(text)
}

async function restartable(name: string): Promise<Restartable> {
  const ports = await freePorts(3)
  const id = `spiffe://${trustDomain}/doorward/gateway/${name}`
  await system.authority.running.registerWorkload({ id, roles: ['gateway'] }, 'test')
  const publicUrl = `https://127.0.0.1:${ports[0]}`
  const url = `${publicUrl}/mcp/files`
  const start = async () => {
    const stopping = new AbortController()
    const gateway = await gatewayAt({ name, id, ports, publicUrl }, stopping.signal)
    const stop = async () => {
      stopping.abort()
      await gateway.stopped
    }
    return { gateway, stop }
  }
  const held: Restartable = {
    endpoint: { url, audience: url, expectedId: parseSpiffeId(id) },
    ports,
    ...(await start()),
    restart: async () => {
      await held.stop()
      Object.assign(held, await start())
    },
  }
  return held
}

interface Place {
  readonly name: string
  readonly id: string
  readonly ports: readonly number[]
  readonly publicUrl: string
}

function gatewayAt({ name, id, ports, publicUrl }: Place, signal: AbortSignal): Promise<RunningGateway> {
  const at = (index: number) => ({ host: '127.0.0.1', port: ports[index] ?? 0 })
  const { running } = system.authority
  const roles = [{ role: 'caller', permissions: ['read:files/*'] }]
  const compiled = compilePolicy({ trustDomain, rbac: [], roles, bindings: [], servers: ['files'] })
  if (!compiled.ok) throw new AggregateError(compiled.problems)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  return startGateway(
    {
      name,
      trustDomain,
      stateDir: join(system.folders.root, 'state', name),
      keyDir: system.folders.keyDir,
      reserveBytes: 0,
      publicUrl,
      issuer: `https://127.0.0.1:${running.addresses.main.port}`,
      listeners: { main: at(0), admin: at(1), public: at(2) },
      servers: { files: { kind: 'http', url, insecureUpstream: true, effects: { ...noEffects, read: ['read_*'] } } },
      needsServer: true,
      path: '',
      policy: compiled.policy,
      staleness: { fullSeconds: 60, reducedSeconds: 300 },
      security: { ...testSecurity, cipherSuites: defaultCipherSuites },
    },
    {
      signal,
      report: () => undefined,
      log: silentLog,
      joinString: async () => (await running.createJoinString(id, 'test')).joinString.reveal(),
    },
  )
}

function clientOf({ endpoint }: Restartable): Promise<McpClient> {
  return openMcpClient({ fetch: caller, endpoint, runtime: systemRuntime, client: { name: 'test', version: '1' } })
}

async function called(client: McpClient, name: string): Promise<void> {
  const answered = await client.request('tools/call', { name, arguments: {} })
  if (!answered.ok) throw new Error(`refused: ${answered.message}`)
}

async function readiness({ ports }: Restartable): Promise<number | undefined> {
  const asked = get({ host: '127.0.0.1', port: ports[2], path: '/readyz', rejectUnauthorized: false, agent: false })
  const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
  let bytes = 0
  for await (const part of response) bytes += (part as Buffer).length
  equal(bytes, 0)
  return response.statusCode
}

test('both gateways are restarted one after the other, and no call of who asks the other one then is lost or made twice', async () => {
  const calls = { done: 0 }
  const failures: unknown[] = []
  const stopping = new AbortController()
  const worker = async (first: number) => {
    let at = first
    let client: McpClient | null = null
    let tries = 0
    while (!stopping.signal.aborted || tries > 0) {
      try {
        client ??= await clientOf(at % 2 === 0 ? east : west)
        await called(client, 'read_note')
        calls.done++
        tries = 0
      } catch (error) {
        // The other one: only one of them is away at a time.
        at++
        client = null
        if (++tries > 4) {
          failures.push(error)
          tries = 0
        }
      }
    }
    await client?.close().catch(() => undefined)
  }
  const working = Promise.all(Array.from({ length: WORKERS }, (_, i) => worker(i)))
  const further = async () => {
    const goal = calls.done + 40
    while (calls.done < goal && failures.length === 0) await sleep(5)
  }
  for (const one of [east, west]) {
    await further()
    const began = performance.now()
    await one.stop()
    ok(performance.now() - began < GRACE_MILLISECONDS)
    await further()
    await one.restart()
  }
  await further()
  stopping.abort()
  await working
  deepEqual(failures, [])
  equal(executed, calls.done)
})

test('who stops is not ready at once, takes no connection, answers what is under way, and ends streams', async () => {
  const client = await clientOf(east)
  const listening = await caller.call(east.endpoint.url, {
    audience: east.endpoint.audience,
    expectedId: east.endpoint.expectedId,
    headers: { accept: 'text/event-stream', 'mcp-session-id': await sessionAt(east) },
  })
  equal(listening.status, 200)
  const ended = (async () => {
    for await (const part of listening.body) void part
  })().catch((error: unknown) => error)
  equal(await readiness(east), 200)
  const before = executed
  const slow = called(client, 'read_slowly')
  await sleep(200)
  const stopped = east.stop()
  equal(await readiness(east), 503)
  const refused = connect({ host: '127.0.0.1', port: east.ports[0] ?? 0 })
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
  equal(error.code, 'ECONNREFUSED')
  equal(await ended, undefined)
  equal(executed, before)
  await slow
  equal(executed, before + 1)
  await stopped
  await east.restart()
})

async function sessionAt({ endpoint }: Restartable): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const accept = 'application/json, text/event-stream'
  const answered = await caller.call(endpoint.url, {
    ...endpoint,
    method: 'POST',
    headers: { accept, 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
  })
  answered.body.resume()
  return String(answered.headers['mcp-session-id'])
}

test('a gateway that needs a server is not ready while none is asked, and says why to operators alone', async () => {
  const client = await clientOf(west)
  server.closeAllConnections()
  server.close()
  equal(await readiness(west), 200)
  for (let i = 0; i < 8; i++) await called(client, 'read_note').catch(() => undefined)
  equal(await readiness(west), 503)
  deepEqual(west.gateway.health(), { ready: false, reasons: ['servers_away'] })
})
