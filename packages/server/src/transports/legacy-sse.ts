/**
 * HTTP+SSE of 2024-11-05 towards clients, where the operator has said so: `GET /sse/<server>` is a stream whose first event
 * says where messages are POSTed, and their answers come on the stream. Each message is served as one of the MCP endpoint.
 */

import { toBase64url } from '@doorward/core'
import type { RandomBytes } from '@doorward/core'
import {
  deny,
  isModern,
  isRefusal,
  messageEvent,
  ownerOf,
  recordOutcome,
  send,
  sendRefusal,
  StageTimes,
} from '@doorward/enforcement'
import type {
  Call,
  Denial,
  Exchange,
  Inbound,
  Outcome,
  Permit,
  Pipeline,
  RequestHead,
  SessionTable,
} from '@doorward/enforcement'
import { EventResponse } from './event-response.ts'
import type { EventAnswer } from './event-response.ts'
import { LegacyStream } from './legacy-stream.ts'
import { allowedReport, refusedReport } from './call-report.ts'
import type { CallReport } from './call-report.ts'
import type { McpServer, StreamableHttp } from './streamable-http.ts'

export interface LegacySseOptions {
  readonly pipeline: Pipeline
  readonly servers: ReadonlyMap<string, McpServer>
  readonly sessions: SessionTable
  /** Serves each message. */
  readonly endpoint: StreamableHttp
  readonly random: RandomBytes
  readonly monotonic: () => number
  readonly keepAliveMilliseconds: number
  readonly streamMilliseconds: number
  /** Of one message of a server. */
  readonly messageBytes: number
  readonly onCall: (call: CallReport) => void
  /** Told of outcomes that could not be recorded. */
  readonly onProblem: (error: unknown) => void
}

export const legacyPrefix = '/sse/'
const PATH = /^\/sse\/([a-z0-9][a-z0-9_-]{0,62})(\/message)?$/
const ID_BYTES = 16
/** A message whose decision takes longer is taken, and its answer comes on the stream, whatever it is. */
const PATIENCE_MILLISECONDS = 250
const SLACK_BYTES = 64 * 1024

interface Place {
  readonly name: string
  readonly server: McpServer
}

export class LegacySse {
  readonly #options: LegacySseOptions
  /** By the id that messages name. */
  readonly #streams = new Map<string, LegacyStream>()

  constructor(options: LegacySseOptions) {
    this.#options = options
  }

  /** Ends every stream; their clients come back. */
  endStreams(): void {
    for (const stream of this.#streams.values()) stream.end()
  }

  /** Answers one request. */
  async serve(exchange: Exchange): Promise<void> {
    const { head } = exchange
    const [, name = '', message] = PATH.exec(head.path) ?? []
    const server = this.#options.servers.get(name)
    const inbound: Inbound = { connection: exchange.connection, head, audience: server?.audience ?? '' }
    const method = message === undefined ? 'GET' : 'POST'
    const problem = exchange.problem ?? routeProblem(head, method, server)
    if (problem !== null || server === undefined) {
      const refusal = await this.#options.pipeline.refuseHead(inbound, problem ?? unknownPath())
      if (refusal.denial.code === 'http_method') exchange.response.setHeader('Allow', method)
      return sendRefusal(exchange, refusal, { rpc: true })
    }
    await (message === undefined ? this.#open(exchange, inbound, { name, server }) : this.#message(exchange, name))
  }

  async #open(exchange: Exchange, inbound: Inbound, { name, server }: Place): Promise<void> {
    const { pipeline, monotonic, random } = this.#options
    const times = new StageTimes(monotonic)
    const permit = await pipeline.enforce(inbound, {
      credential: 'token',
      times,
      readBody: () => exchange.readBody(0),
      classifier: () => openingOf(name, exchange.head),
    })
    if (isRefusal(permit)) {
      sendRefusal(exchange, permit, { rpc: true })
      times.mark('closed')
      return this.#options.onCall(refusedReport(exchange, permit, { server: name, times, trace: null }))
    }
    permit.use()
    const id = toBase64url(random(ID_BYTES))
    const { admitted, entry } = permit
    const stream = new LegacyStream({
      exchange,
      server: name,
      authorized: admitted.authorized,
      headers: { 'Doorward-Code': 'allowed', 'Doorward-Decision': entry.toString() },
      endpoint: `${pathPrefix(server, name)}${legacyPrefix}${name}/message?session=${id}`,
      times,
      keepAliveMilliseconds: this.#options.keepAliveMilliseconds,
      streamMilliseconds: this.#options.streamMilliseconds,
      unreadBytes: this.#options.messageBytes + SLACK_BYTES,
      ...(admitted.hold === undefined ? {} : { hold: admitted.hold }),
      onEnd: (outcome) => this.#ended(id, { permit, stream, times }, outcome),
    })
    this.#streams.set(id, stream)
    pipeline.track(stream)
  }

  #ended(id: string, { permit, stream, times }: Ended, outcome: Outcome): void {
    const { pipeline, sessions, onCall, onProblem } = this.#options
    this.#streams.delete(id)
    pipeline.open.remove(stream)
    const { principal } = permit.admitted.authorized.classified.identified
    const session =
      stream.sessionId === null ? null : sessions.find(stream.sessionId, stream.server, ownerOf(principal))
    if (session !== null) sessions.remove(session)
    recordOutcome(permit.entry, outcome, pipeline.dependencies.log).catch(onProblem)
    onCall(allowedReport(permit, outcome, { times, trace: null, method: 'GET', stream: 'session' }))
  }

  /** To whoever has not opened the stream, its id is that of no session. */
  async #message(exchange: Exchange, name: string): Promise<void> {
    const id = new URLSearchParams(exchange.head.query).get('session') ?? ''
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.over || stream.server !== name || !stream.isOf(exchange)) {
      const head = messageHead(exchange.head, { name, session: id === '' ? 'none' : id })
      return this.#options.endpoint.serve({ ...exchange, head })
    }
    await this.#carry(stream, exchange, name)
  }

  async #carry(stream: LegacyStream, exchange: Exchange, name: string): Promise<void> {
    const taken = setTimeout(() => take(exchange, {}), PATIENCE_MILLISECONDS).unref()
    const response = new EventResponse({
      request: exchange.request,
      sink: stream,
      onAnswer: (answer) => {
        clearTimeout(taken)
        stream.sessionId ??= answer.headers['mcp-session-id'] ?? null
        relay(exchange, stream, answer)
        if (answer.status === 202) this.#listen(stream, exchange, name)
      },
      onEnd: () => stream.carried(response),
    })
    stream.carry(response)
    const head = messageHead(exchange.head, { name, session: stream.sessionId })
    await this.#options.endpoint.serve({ ...exchange, head, response, request: stream.request })
  }

  /** Asks for what the server says of its own accord, once there is a session, in the name of who is there. */
  #listen(stream: LegacyStream, exchange: Exchange, name: string): void {
    if (stream.listens || stream.sessionId === null || stream.over) return
    stream.listens = true
    const response = new EventResponse({
      request: exchange.request,
      sink: stream,
      // A server that has nothing to say is none that failed.
      onAnswer: () => undefined,
      onEnd: (streamed) => {
        stream.carried(response)
        if (streamed) stream.end()
      },
    })
    stream.carry(response)
    const message = messageHead(exchange.head, { name, session: stream.sessionId })
    const head: RequestHead = {
      ...message,
      method: 'GET',
      headers: withHeaders(message.headers, { accept: 'text/event-stream' }),
    }
    const readBody = () => Promise.resolve(new Uint8Array(0))
    this.#options.endpoint
      .serve({ ...exchange, head, response, request: stream.request, readBody })
      .catch(this.#options.onProblem)
  }
}

interface Ended {
  readonly permit: Permit<null>
  readonly stream: LegacyStream
  readonly times: StageTimes
}

function routeProblem({ method: asked }: RequestHead, method: string, server: McpServer | undefined): Denial | null {
  if (server?.legacySse !== true) return unknownPath()
  return asked === method ? null : deny('http_method', `expected ${method}, got ${asked}`)
}

function unknownPath(): Denial {
  return deny('path_unknown', 'no server is served over HTTP+SSE at this path')
}

function openingOf(server: string, { headers }: RequestHead): Call<null> | Denial {
  if (!(headers['accept'] ?? '').includes('text/event-stream'))
    return deny('accept_type', 'expected Accept: text/event-stream')
  const resource = { server, kind: 'server', name: '' } as const
  return { action: { name: 'GET', group: 'session' }, resource, args: undefined, rpcId: undefined, detail: null }
}

/** What a public URL has before our own paths. */
function pathPrefix({ audience }: McpServer, name: string): string {
  return new URL(audience).pathname.slice(0, -`/mcp/${name}`.length)
}

/** As the MCP endpoint takes a message: this transport has neither its sessions nor its later eras. */
function messageHead(
  head: RequestHead,
  { name, session }: { readonly name: string; readonly session: string | null },
): RequestHead {
  const headers = withHeaders(head.headers, {
    accept: 'application/json, text/event-stream',
    'mcp-session-id': session ?? undefined,
    ...(isModern(head) ? { 'mcp-protocol-version': undefined } : {}),
  })
  return { ...head, path: `/mcp/${name}`, query: '', headers }
}

function withHeaders(headers: RequestHead['headers'], own: RequestHead['headers']): RequestHead['headers'] {
  const all = Object.entries({ ...headers, ...own }).filter(([, value]) => value !== undefined)
  return Object.assign(Object.create(null) as Record<string, string>, Object.fromEntries(all))
}

/** What is refused is told where the message came from, as long as it waits there; and else on the stream. */
function relay(exchange: Exchange, stream: LegacyStream, { status, headers, body }: EventAnswer): void {
  if (status < 400) return take(exchange, headers)
  if (!exchange.response.headersSent) return send(exchange, status, headers, body)
  if (body.length > 0 && headers['content-type'] === 'application/json') stream.write(messageEvent(body))
}

function take(
  exchange: Exchange,
  { 'doorward-decision': decision, 'doorward-code': code }: EventAnswer['headers'],
): void {
  const told = {
    ...(decision === undefined ? {} : { 'Doorward-Decision': decision }),
    ...(code === undefined ? {} : { 'Doorward-Code': code }),
  }
  send(exchange, 202, told)
}
