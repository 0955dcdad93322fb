/** Two gateways in front of one server, which stop and start again while callers of both go on: who asks the other one then must lose nothing. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { compilePolicy, parseSpiffeId } from '@doorward/core'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity, McpClient, McpEndpoint } from '@doorward/sdk'
import { startGateway } from '../../packages/server/src/apps/gateway.ts'
import type { RunningGateway } from '../../packages/server/src/apps/gateway.ts'
import { silentLog } from '../../packages/server/src/observability/log.ts'
import { defaultCipherSuites } from '../../packages/enforcement/src/wire/listener.ts'
import { noEffects } from '@doorward/enforcement'
import { testSecurity, trustDomain } from '../fixtures/authority/running.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'

const WORKERS = 4
/** Of one call in a row, each at another gateway than before, until it counts as lost. */
const TRIES = 5
const SLOW_MILLISECONDS = 1500

/** A gateway that is stopped and started again at the same place. */
export interface Restartable {
  readonly endpoint: McpEndpoint
  readonly ports: readonly number[]
  gateway: RunningGateway
  stop: () => Promise<void>
  restart: () => Promise<void>
}

interface Place {
  readonly name: string
  readonly id: string
  readonly ports: readonly number[]
  readonly publicUrl: string
}

export class RollingGateways {
  /** What the gateways forward to. */
  readonly server: Server
  readonly #system: RunningSystem
  /** Calls of tools that the server has carried out. */
  executed = 0
  east!: Restartable
  west!: Restartable
  caller!: Identity

  private constructor(system: RunningSystem) {
    this.#system = system
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => void this.#answer(request.method ?? '', Buffer.concat(chunks).toString(), response))
    })
  }

  static async open(): Promise<RollingGateways> {
    const rolling = new RollingGateways(await startSystem())
    rolling.server.listen(0, '127.0.0.1')
    await once(rolling.server, 'listening')
    rolling.east = await rolling.#restartable('east')
    rolling.west = await rolling.#restartable('west')
    rolling.caller = await rolling.#system.open(await rolling.#system.join('agent/caller'))
    return rolling
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    this.server.close()
    await Promise.all([this.east?.stop(), this.west?.stop()])
    await this.#system.stop()
  }

  client({ endpoint }: Restartable): Promise<McpClient> {
    const client = { name: 'test', version: '1' }
    return openMcpClient({ fetch: this.caller, endpoint, runtime: systemRuntime, client })
  }

  /** Callers of both gateways, until `finish`. */
  calling(): Calling {
    return new Calling(this)
  }

  async #answer(method: string, body: string, response: ServerResponse): Promise<void> {
    if (method === 'GET')
      return void response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(': open\n\n')
    if (method === 'DELETE') return void response.writeHead(200).end()
    const message = JSON.parse(body) as { id?: number; method: string; params?: { name?: string } }
    if (message.id === undefined) return void response.writeHead(202).end()
    const calls = message.method === 'tools/call'
    if (calls) await sleep(message.params?.name === 'read_slowly' ? SLOW_MILLISECONDS : 5)
    if (calls) this.executed++
    const serverInfo = { name: 'rolling', version: '1' }
    const result = calls
      ? { content: [{ type: 'text', text: 'done' }] }
      : { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo }
    const text = JSON.stringify({ jsonrpc: '2.0', id: message.id, result })
    response.writeHead(200, { 'Content-Type': 'application/json', 'Mcp-Session-Id': 'one' }).end(text)
  }

  async #restartable(name: string): Promise<Restartable> {
    const ports = await freePorts(3)
    const id = `spiffe://${trustDomain}/doorward/gateway/${name}`
    await this.#system.authority.running.registerWorkload({ id, roles: ['gateway'] }, 'test')
    const publicUrl = `https://127.0.0.1:${ports[0]}`
    const url = `${publicUrl}/mcp/files`
    const start = async () => {
      const stopping = new AbortController()
      const gateway = await this.#gatewayAt({ name, id, ports, publicUrl }, stopping.signal)
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

  #gatewayAt({ name, id, ports, publicUrl }: Place, signal: AbortSignal): Promise<RunningGateway> {
    const at = (index: number) => ({ host: '127.0.0.1', port: ports[index] ?? 0 })
    const { running } = this.#system.authority
    const roles = [{ role: 'caller', permissions: ['read:files/*'] }]
    const compiled = compilePolicy({ trustDomain, rbac: [], roles, bindings: [], servers: ['files'] })
    if (!compiled.ok) throw new AggregateError(compiled.problems)
    const url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/mcp`
    return startGateway(
      {
        name,
        trustDomain,
        stateDir: join(this.#system.folders.root, 'state', name),
        keyDir: this.#system.folders.keyDir,
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
}

export async function called(client: McpClient, name: string): Promise<void> {
  const answered = await client.request('tools/call', { name, arguments: {} })
  if (!answered.ok) throw new Error(`refused: ${answered.message}`)
}

/** Callers who ask the other gateway when one does not answer. */
export class Calling {
  done = 0
  /** Of calls that neither gateway has answered. */
  readonly lost: unknown[] = []
  readonly #gateways: RollingGateways
  readonly #stopping = new AbortController()
  readonly #working: Promise<unknown>

  constructor(gateways: RollingGateways) {
    this.#gateways = gateways
    this.#working = Promise.all(Array.from({ length: WORKERS }, (_, place) => this.#work(place)))
  }

  /** So many calls from now on have been answered, or one was lost. */
  async further(count: number): Promise<void> {
    const goal = this.done + count
    while (this.done < goal && this.lost.length === 0) await sleep(5)
  }

  async finish(): Promise<void> {
    this.#stopping.abort()
    await this.#working
  }

  async #work(first: number): Promise<void> {
    let at = first
    let client: McpClient | null = null
    let tries = 0
    while (!this.#stopping.signal.aborted || tries > 0) {
      try {
        const { east, west } = this.#gateways
        client ??= await this.#gateways.client(at % 2 === 0 ? east : west)
        await called(client, 'read_note')
        this.done++
        tries = 0
      } catch (error) {
        // The other one: only one of them is away at a time.
        at++
        client = null
        if (++tries >= TRIES) {
          this.lost.push(error)
          tries = 0
        }
      }
    }
    await client?.close().catch(() => undefined)
  }
}
