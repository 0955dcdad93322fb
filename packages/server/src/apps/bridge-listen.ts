/**
 * The bridge for local clients that speak HTTP: a transparent streaming proxy on the loopback interface.
 *
 * It adds what the client cannot hold, certificate and token, and takes away what must not travel: the client's own
 * credentials and cookies. Its own Host becomes the gateway's, and its own Origin is left out, because the bridge itself is
 * that origin. Foreign values of both are passed unchanged: a web page that rebinds its name to this address, or posts
 * across origins, thereby meets the gateway's refusal, the same one that it would get there.
 *
 * A port of this machine can be reached by all its users. Calls are made for the user alone who runs the bridge, as the kernel
 * says whose a connection is; where the kernel does not say it (only Linux does), that is told loudly. The other form, over
 * standard input and output, has no such door.
 */

import { createServer } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { joinBytes, DoorwardError } from '@doorward/core'
import { readOutgoing } from '@doorward/sdk'
import type { CallResponse, McpEndpoint, SignedFetch } from '@doorward/sdk'
import { clientOwner } from './sidecar/tcp-owners.ts'

export interface ListenBridgeOptions {
  readonly fetch: SignedFetch
  readonly endpoint: McpEndpoint
  /** 0 picks a free one. */
  readonly port: number
  readonly notice: (text: string) => void
}

export interface ListenBridge {
  /** `http://127.0.0.1:<port>/mcp` */
  readonly url: string
  /** Stops listening and cuts what is open. */
  close(): Promise<void>
}

const PATH = '/mcp'
/** Above the gateway's own limit, so that the gateway gets to refuse. */
const MAX_BODY = 2 * 1024 * 1024
/** How many refused calls are told of. */
const TOLD = 20
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const NOT_FORWARDED = new Set([
  ...HOP_BY_HOP,
  'authorization',
  'dpop',
  'cookie',
  'forwarded',
  'content-length',
  'expect',
])

/** Opens the listener on 127.0.0.1. Throws `port_in_use` or `address_unavailable`. */
export async function openListenBridge(options: ListenBridgeOptions): Promise<ListenBridge> {
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 })
  const callers = new Callers(options.notice)
  server.on('connection', (socket: Socket) => callers.look(socket))
  const port = await listen(server, options.port)
  const own = new Set([`127.0.0.1:${port}`, `localhost:${port}`])
  const served = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (await callers.mayCall(request.socket)) return serve(request, response, { ...options, own })
    answer(response, 403, 'this bridge belongs to another user of the machine', notYours)
  }
  server.on('request', (request, response) => {
    void served(request, response)
  })
  return {
    url: `http://127.0.0.1:${port}${PATH}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const notYours = { id: null, code: 'local_caller_refused' }

/** Whose connections are, looked up once for each. */
class Callers {
  readonly #own = process.platform === 'linux' ? process.getuid?.() : undefined
  readonly #users = new WeakMap<Socket, Promise<number | null>>()
  readonly #notice: (text: string) => void
  #told = 0

  constructor(notice: (text: string) => void) {
    this.#notice = notice
    if (this.#own === undefined)
      notice('every user of this machine may call through this port: this system does not say whose a connection is')
  }

  look(socket: Socket): void {
    const { remoteAddress: address, remotePort, localPort } = socket
    const known = address !== undefined && remotePort !== undefined && localPort !== undefined
    this.#users.set(socket, known ? clientOwner({ address, port: remotePort }, localPort) : Promise.resolve(null))
  }

  async mayCall(socket: Socket): Promise<boolean> {
    if (this.#own === undefined) return true
    const user = await this.#users.get(socket)
    if (user === this.#own) return true
    this.#refused(user ?? null)
    return false
  }

  /** A stranger does not fill the terminal. */
  #refused(user: number | null): void {
    if (this.#told++ >= TOLD) return
    this.#notice(
      `refused: ${user === null ? 'the kernel does not say whose connection this is' : `a call of uid ${user}`}`,
    )
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const busy = error.code === 'EADDRINUSE'
      const message = busy ? 'another program listens there already' : 'cannot listen there'
      reject(
        new DoorwardError(busy ? 'port_in_use' : 'address_unavailable', message, {
          where: `127.0.0.1:${port}`,
          got: error.message,
        }),
      )
    })
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

interface Proxy extends ListenBridgeOptions {
  /** Host values that mean this listener. */
  readonly own: ReadonlySet<string>
}

async function serve(request: IncomingMessage, response: ServerResponse, proxy: Proxy): Promise<void> {
  const target = targetOf(request, proxy.endpoint)
  if (target === null) return answer(response, 404, 'there is nothing at this path')
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  let body: Uint8Array | null = null
  try {
    body = await bodyOf(request)
    if (body === null) return answer(response, 413, 'the request body is too large')
    const upstream = await proxy.fetch.call(target, {
      method: request.method ?? 'GET',
      headers: requestHeaders(request, proxy),
      audience: proxy.endpoint.audience,
      expectedId: proxy.endpoint.expectedId,
      signal: gone.signal,
      ...(body.length === 0 ? {} : { body }),
    })
    await relay(upstream, response)
  } catch (error) {
    if (!gone.signal.aborted) fail(response, error, { body, notice: proxy.notice })
  }
}

function targetOf({ url = '' }: IncomingMessage, endpoint: McpEndpoint): URL | null {
  const query = url.indexOf('?')
  const path = query < 0 ? url : url.slice(0, query)
  return path === PATH ? new URL(`${endpoint.url}${query < 0 ? '' : url.slice(query)}`) : null
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of request as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > MAX_BODY) return null
    parts.push(part)
  }
  return joinBytes(parts)
}

/** Repeated headers stay repeated: the gateway judges them. */
function requestHeaders(request: IncomingMessage, { own, endpoint }: Proxy): OutgoingHttpHeaders {
  const headers: Record<string, string[]> = Object.create(null) as Record<string, string[]>
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = (request.rawHeaders[i] ?? '').toLowerCase()
    const value = request.rawHeaders[i + 1] ?? ''
    if (NOT_FORWARDED.has(name) || name.startsWith('x-forwarded-') || name.startsWith('doorward-')) continue
    if (name === 'origin' && isOwnOrigin(value, own)) continue
    const mapped = name === 'host' && own.has(value.toLowerCase()) ? new URL(endpoint.url).host : value
    ;(headers[name] ??= []).push(mapped)
  }
  const host = headers['host']
  return { ...headers, ...(host?.length === 1 ? { host: host[0] } : {}) }
}

function isOwnOrigin(value: string, own: ReadonlySet<string>): boolean {
  return value.startsWith('http://') && own.has(value.slice('http://'.length).toLowerCase())
}

async function relay(upstream: CallResponse, response: ServerResponse): Promise<void> {
  const headers: string[] = []
  for (let i = 0; i + 1 < upstream.rawHeaders.length; i += 2) {
    const name = upstream.rawHeaders[i] ?? ''
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, upstream.rawHeaders[i + 1] ?? '')
  }
  response.writeHead(upstream.status, headers)
  // Streams begin with silence: the client waits for the head.
  response.flushHeaders()
  await pipeline(upstream.body, response)
}

function fail(
  response: ServerResponse,
  error: unknown,
  { body, notice }: { body: Uint8Array | null; notice: (text: string) => void },
): void {
  const known = error instanceof DoorwardError
  const text = known ? `${error.message}${error.got === undefined ? '' : `: ${error.got}`}` : String(error)
  notice(text)
  if (response.headersSent) {
    response.destroy()
    return
  }
  const message = body === null ? null : readOutgoing(new TextDecoder().decode(body))
  const id = message?.kind === 'request' ? message.id : null
  answer(response, 502, known ? error.message : 'the call failed', { id, code: known ? error.code : 'internal' })
}

function answer(
  response: ServerResponse,
  status: number,
  message: string,
  rpc: { id: string | number | null; code: string } = { id: null, code: 'bridge' },
): void {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: rpc.id,
    error: { code: -31502, message, data: { code: rpc.code } },
  })
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', connection: 'close' })
  response.end(body)
}
