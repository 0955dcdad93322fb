/** A joined workload and a gateway that does what the test says, over real TLS: what the bridge sees of the world. */

import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { PassThrough } from 'node:stream'
import { join, openIdentity, systemRuntime } from '@doorward/sdk'
import type { Identity, McpEndpoint } from '@doorward/sdk'
import { runStdioBridge } from '../../packages/server/src/apps/bridge-stdio.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { FakeAuthority } from '../unit/sdk/fake-authority.ts'
import { memorySealer } from '../unit/sdk/memory-sealer.ts'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export type Answer = (seen: Seen, response: ServerResponse) => void

export class BridgeStage {
  readonly authority: FakeAuthority
  readonly identity: Identity
  readonly svid: TestSvid
  readonly seen: Seen[] = []
  readonly #server: Server
  /** Answers requests to the gateway. */
  answer: Answer = (_, response) => void response.writeHead(202).end()
  url = ''

  readonly #folder: string

  private constructor(authority: FakeAuthority, identity: Identity, svid: TestSvid, folder: string) {
    this.#folder = folder
    this.authority = authority
    this.identity = identity
    this.svid = svid
    const { anchorsPem: ca } = authority.fixture
    this.#server = createServer(
      { ...svid.pem, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
      (request, response) => {
        void this.#serve(request, response)
      },
    )
  }

  static async open(): Promise<BridgeStage> {
    const authority = await FakeAuthority.start()
    const svid = await authority.fixture.issue('doorward/gateway/main')
    const folder = await mkdtemp(path(tmpdir(), 'doorward-bridge-'))
    const sealer = memorySealer()
    await join({ joinString: authority.joinString(), folder, sealer })
    const identity = await openIdentity({ folder, sealer })
    await identity.prepare()
    const stage = new BridgeStage(authority, identity, svid, folder)
    await new Promise<void>((resolve) => stage.#server.listen(0, '127.0.0.1', resolve))
    stage.url = `https://127.0.0.1:${(stage.#server.address() as AddressInfo).port}/mcp/files`
    return stage
  }

  get endpoint(): McpEndpoint {
    return { url: this.url, audience: this.url, expectedId: this.svid.id }
  }

  /** Starts a stdio bridge to the gateway. */
  bridge(): StdioHost {
    return new StdioHost(this)
  }

  async close(): Promise<void> {
    this.identity.close()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    await this.authority.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(parts).toString(),
    }
    this.seen.push(seen)
    this.answer(seen, response)
  }
}

/** The host's end of a stdio bridge. */
export class StdioHost {
  readonly input = new PassThrough()
  readonly output = new PassThrough()
  readonly notices: string[] = []
  readonly stop = new AbortController()
  readonly done: Promise<void>
  readonly #lines: string[] = []
  #wake: () => void = () => undefined

  constructor({ identity, endpoint }: BridgeStage) {
    let rest = ''
    this.output.on('data', (chunk: Buffer) => {
      rest += chunk.toString()
      const lines = rest.split('\n')
      rest = lines.pop() ?? ''
      this.#lines.push(...lines)
      this.#wake()
    })
    this.done = runStdioBridge({
      fetch: identity,
      endpoint,
      runtime: systemRuntime,
      input: this.input,
      output: this.output,
      notice: (text) => this.notices.push(text),
      signal: this.stop.signal,
    })
  }

  send(message: object | string): void {
    this.input.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`)
  }

  /** The next line that the bridge writes. */
  async next(): Promise<string> {
    while (this.#lines.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#lines.shift() ?? ''
  }

  async nextMessage(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.next()) as Record<string, unknown>
  }

  /** Initializes as a client of 2025-11-25. */
  async initialize(): Promise<void> {
    this.send({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25' } })
    await this.next()
    this.send({ jsonrpc: '2.0', method: 'notifications/initialized' })
  }
}

export function json(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
}

export function events(
  response: ServerResponse,
  headers: Record<string, string> = {},
): (event: { data: unknown; id?: string; retry?: number }) => void {
  response.writeHead(200, { 'content-type': 'text/event-stream', ...headers })
  response.flushHeaders()
  return ({ data, id, retry }) => {
    response.write(
      `${id === undefined ? '' : `id: ${id}\n`}${retry === undefined ? '' : `retry: ${retry}\n`}data: ${data === '' ? '' : JSON.stringify(data)}\n\n`,
    )
  }
}

/** Answers `initialize` with a session, accepts notifications, has no stream of its own, and leaves the rest to `more`. */
export function asServer(more: Answer): Answer {
  return (seen, response) => {
    if (seen.method === 'GET') return void response.writeHead(405).end()
    if (seen.method === 'DELETE') return void response.writeHead(200).end()
    const message = JSON.parse(seen.body) as { id?: number; method?: string }
    if (message.method === 'initialize') {
      return json(
        response,
        200,
        { jsonrpc: '2.0', id: message.id, result: { protocolVersion: '2025-06-18' } },
        { 'mcp-session-id': 'session-1' },
      )
    }
    if (message.id === undefined) return void response.writeHead(202).end()
    more(seen, response)
  }
}
