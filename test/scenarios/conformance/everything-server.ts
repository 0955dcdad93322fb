/**
 * An MCP server with everything that the conformance suite's server scenarios ask for, on the official TypeScript SDK over
 * streamable HTTP: the legacy era with sessions, and 2026-07-28, both at one path. `node everything-server.ts --port 3902`
 * serves `/mcp`.
 */

import {
  NodeStreamableHTTPServerTransport,
  localhostHostValidation,
  localhostOriginValidation,
  toNodeHandler,
} from '@modelcontextprotocol/node'
import {
  createMcpHandler,
  type EventStore,
  isLegacyRequest,
  McpServer,
  type McpServerOptions,
} from '@modelcontextprotocol/server'
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { registerPrompts, registerResources } from './everything-items.ts'
import { registerModern, stateCodec } from './everything-modern.ts'
import { registerTools } from './everything-tools.ts'

const maxEvents = 10_000

export interface EverythingServerOptions {
  /** TCP port on 127.0.0.1; 0 takes a free one. */
  readonly port: number
  /** Called first for each request; false means that it has answered the request itself. */
  readonly admit?: (request: IncomingMessage, response: ServerResponse) => boolean
}

export interface EverythingServer {
  readonly url: string
  close(): Promise<void>
}

/** Starts the fixture. Requests with a foreign `Host` or `Origin` get 403, with an unknown session 404. */
export async function startEverythingServer(options: EverythingServerOptions): Promise<EverythingServer> {
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>()
  const modern = createMcpHandler(modernServer, { legacy: 'reject' })
  function modernServer(): McpServer {
    const server = mcpServer({ requestState: { verify: (state, ctx) => stateCodec.verify(state, ctx) } })
    registerModern(server, () => modern.notify)
    return server
  }
  const serveModern = toNodeHandler(modern)
  const hostAllowed = localhostHostValidation()
  const originAllowed = localhostOriginValidation()
  const http = createServer((request, response) => {
    if (options.admit !== undefined && !options.admit(request, response)) return
    if (!hostAllowed(request, response) || !originAllowed(request, response)) return
    serve(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') return serveLegacy(sessions, request, response)
    const body: unknown = await bodyOf(request)
    if (body === undefined) return refuse(response, 400, { code: -32700, message: 'parse error' })
    const asked = new Request('http://localhost/mcp', { method: 'POST', headers: headersOf(request) })
    if (await isLegacyRequest(asked, body)) return serveLegacy(sessions, request, response, body)
    await serveModern(Object.assign(request, { method: 'POST', url: '/mcp' }), response, body)
  }
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject).listen(options.port, '127.0.0.1', resolve)
  })
  return {
    url: `http://localhost:${(http.address() as AddressInfo).port}/mcp`,
    close: async () => {
      for (const transport of sessions.values()) await transport.close()
      await modern.close()
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

/** Undefined for what is no JSON: whoever serves the request says so. */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch {
    return undefined
  }
}

function refuse(response: ServerResponse, status: number, error: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }))
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '')
  return headers
}

async function serveLegacy(
  sessions: Map<string, NodeStreamableHTTPServerTransport>,
  request: IncomingMessage,
  response: ServerResponse,
  body?: unknown,
): Promise<void> {
  if (request.url !== '/mcp') {
    response.writeHead(404).end()
    return
  }
  const id = request.headers['mcp-session-id']
  const known = typeof id === 'string' ? sessions.get(id) : undefined
  if (id !== undefined && known === undefined) {
    return refuse(response, 404, { code: -32000, message: 'session not found' })
  }
  const transport = known ?? (await openTransport(sessions))
  await transport.handleRequest(request, response, body)
}

async function openTransport(
  sessions: Map<string, NodeStreamableHTTPServerTransport>,
): Promise<NodeStreamableHTTPServerTransport> {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
    onsessionclosed: (id) => void sessions.delete(id),
    eventStore: memoryEvents(),
    retryInterval: 500,
  })
  await mcpServer().connect(transport)
  return transport
}

function mcpServer(options: Pick<McpServerOptions, 'requestState'> = {}): McpServer {
  const server = new McpServer(
    { name: 'doorward-conformance-fixture', version: '1.0.0' },
    {
      ...options,
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        prompts: { listChanged: true },
        logging: {},
        completions: {},
      },
    },
  )
  registerTools(server)
  registerResources(server)
  registerPrompts(server)
  return server
}

/** Keeps the events of one session for `Last-Event-ID`; an event id is `<stream>/<position>`. */
function memoryEvents(): EventStore {
  const events: { readonly stream: string; readonly message: Parameters<EventStore['storeEvent']>[1] }[] = []
  return {
    async storeEvent(stream, message) {
      if (events.length >= maxEvents) throw new Error(`more than ${maxEvents} events in one session`)
      events.push({ stream, message })
      return `${stream}/${events.length - 1}`
    },
    async replayEventsAfter(lastEventId, { send }) {
      const slash = lastEventId.lastIndexOf('/')
      const stream = lastEventId.slice(0, slash)
      for (let at = Number(lastEventId.slice(slash + 1)) + 1; at < events.length; at++) {
        const event = events[at]
        // A priming event has an empty message and is not sent again.
        if (event?.stream === stream && 'jsonrpc' in event.message) await send(`${stream}/${at}`, event.message)
      }
      return stream
    },
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '3902' } } })
  const server = await startEverythingServer({ port: Number(values.port) })
  console.log(`serving ${server.url}`)
}
