/** The MCP endpoint: one path per server, POST, GET and DELETE, each request decided and recorded on its own. */

import {
  beginIn,
  deny,
  isModern,
  isRefusal,
  lasts,
  mcpClassifier,
  ModernRequest,
  pendingRequest,
  recordOutcome,
  sendRefusal,
  StageTimes,
  whenGone,
} from '@doorward/enforcement'
import type {
  DefinitionGate,
  Denial,
  Exchange,
  Inbound,
  Outcome,
  Permit,
  Pipeline,
  RefusalForm,
  RequiredCredential,
  PendingRequest,
  BeginTrace,
  CallTrace,
  Handles,
  McpCall,
  McpSession,
  SessionTable,
} from '@doorward/enforcement'
import { LEGACY_VERSIONS, MODERN_VERSIONS } from '@doorward/core'
import type { EpochSeconds, Principal, ToolEffect } from '@doorward/core'
import { allowedReport, refusedReport } from './call-report.ts'
import type { CallReport } from './call-report.ts'
import { StreamableReply } from './streamable-http-reply.ts'
import type { Upstream, UpstreamLimits, UpstreamSession } from './upstream.ts'
import { WaitingProgress } from './waiting-progress.ts'

export interface McpServer {
  readonly upstream: Upstream
  readonly effectOf: (tool: string) => ToolEffect
  /** What is approved of the server; nothing is compared without it. */
  readonly definitions?: DefinitionGate | null
  /** Resource identifier of the path, from configuration. */
  readonly audience: string
  /** Served over HTTP+SSE of 2024-11-05 as well; not by default. */
  readonly legacySse?: boolean
}

export interface StreamableHttpOptions {
  readonly pipeline: Pipeline
  readonly servers: ReadonlyMap<string, McpServer>
  readonly sessions: SessionTable
  readonly limits: UpstreamLimits
  /** Bytes of a request body; 1 MiB by default. */
  readonly bodyBytes: number
  readonly keepAliveMilliseconds: number
  readonly monotonic: () => number
  readonly onCall: (call: CallReport) => void
  /** Names that servers give and callers give back. */
  readonly handles: Handles
  /** No call has a trace by default. */
  readonly beginTrace?: BeginTrace | undefined
  /** Told of outcomes that could not be recorded. */
  readonly onProblem: (error: unknown) => void
}

/** By which door requests come in, and what is asked of them there. */
export interface Entrance {
  readonly credential: Exclude<RequiredCredential, 'certificate'>
  /** Resource identifier of a server's path there, from configuration; null for a server that is not served there. */
  readonly audienceOf: (name: string, server: McpServer) => string | null
  /** How refusals about a server are told. */
  readonly challenge?: (name: string, exchange: Exchange) => NonNullable<RefusalForm['challenge']>
}

/** With certificate and bound token. */
const mainEntrance: Entrance = { credential: 'token', audienceOf: (_name, { audience }) => audience }

export type { CallReport } from './call-report.ts'

const PREFIX = '/mcp/'

/** The server that a path is of; null for any other path. */
export function serverNameOf(path: string): string | null {
  return path.startsWith(PREFIX) ? path.slice(PREFIX.length) : null
}

/** Of an answer that is on its way, beside its largest message. */
const SLACK_BYTES = 64 * 1024
const METHODS = new Set(['POST', 'GET', 'DELETE'])

export class StreamableHttp {
  readonly #options: StreamableHttpOptions
  /** Streams that would never end by themselves, and whose they are. */
  readonly #streams = new Map<StreamableReply, Principal>()
  readonly #upstreams = new WeakMap<McpSession, UpstreamSession>()

  constructor(options: StreamableHttpOptions) {
    this.#options = options
  }

  /** Ends the streams that would never end by themselves; requests under way go on. */
  endStreams(): void {
    for (const reply of this.#streams.keys()) reply.end()
  }

  /**
   * Ends the streams of callers at the edge whose token is good no longer: a certificate ends its connections, and there is
   * nothing else that would end these.
   */
  endExpired(now: EpochSeconds): void {
    for (const [reply, caller] of this.#streams) {
      if (caller.certificateFingerprint === '' && caller.expires <= now)
        reply.withdraw(deny('token_expired', `exp was ${caller.expires}`, { caller }))
    }
  }

  /** Answers one request. */
  async serve(exchange: Exchange, entrance: Entrance = mainEntrance): Promise<void> {
    const { head } = exchange
    const name = serverNameOf(head.path) ?? ''
    const known = this.#options.servers.get(name)
    const audience = known === undefined ? null : entrance.audienceOf(name, known)
    const server = audience === null ? undefined : known
    const inbound: Inbound = { connection: exchange.connection, head, audience: audience ?? '' }
    const problem = exchange.problem ?? routeProblem(head.method, server)
    if (problem !== null || server === undefined) {
      return this.#refuse(exchange, inbound, problem ?? deny('path_unknown', 'no server has this path'))
    }
    await this.#decide(exchange, inbound, { name, server, entrance })
  }

  async #refuse(exchange: Exchange, inbound: Inbound, denial: Denial): Promise<void> {
    const refusal = await this.#options.pipeline.refuseHead(inbound, denial)
    if (refusal.denial.code === 'http_method') exchange.response.setHeader('Allow', 'POST, GET, DELETE')
    sendRefusal(exchange, refusal, { rpc: true })
  }

  async #decide(exchange: Exchange, inbound: Inbound, { name, server, entrance }: Route): Promise<void> {
    const { pipeline, sessions, handles, bodyBytes, monotonic } = this.#options
    const { head } = exchange
    const modern = isModern(head)
    const trace = this.#options.beginTrace?.(head) ?? null
    const times = new StageTimes(monotonic, trace?.sampled === true)
    let opened: McpSession | null = null
    const waiting = this.#waitingOf(exchange)
    const result = await pipeline.enforce(inbound, {
      credential: entrance.credential,
      times,
      whenGone: (listener) => {
        whenGone(exchange, listener)
        waiting.whenCancelled(listener)
      },
      onWait: (what, { detail }) => waiting.begin(what, detail),
      readBody: () => (head.method === 'POST' ? exchange.readBody(bodyBytes) : exchange.readBody(0)),
      classifier: mcpClassifier({
        server: name,
        effectOf: server.effectOf,
        definitions: server.definitions,
        sessions,
        handles,
        versions: () => supportedBy(server),
        taskless: () => server.upstream.modern?.versions.taskless ?? false,
        sessionless: (named) => server.upstream.modern?.versions.knowsPostAlone(named) ?? false,
        bodyBytes,
        head,
        trace,
        onOpened: (session) => {
          opened = session
        },
      }),
    })
    waiting.end()
    const answering = waiting.exchange
    if (isRefusal(result)) {
      if (opened !== null) sessions.remove(opened)
      if (result.denial.code === 'http_method') exchange.response.setHeader('Allow', 'POST')
      const challenge = entrance.challenge?.(name, exchange)
      sendRefusal(answering, result, { ...formOf(result.denial, modern), ...(challenge && { challenge }) })
      times.mark('closed')
      this.#options.onCall(refusedReport(answering, result, { server: name, times, trace }))
      return
    }
    this.#forward(answering, result, { server, times, trace })
  }

  #waitingOf(exchange: Exchange): WaitingProgress {
    const { keepAliveMilliseconds: pauseMilliseconds, limits, monotonic } = this.#options
    const unreadBytes = limits.messageBytes + SLACK_BYTES
    return new WaitingProgress({ exchange, pauseMilliseconds, unreadBytes, monotonic })
  }

  #forward(exchange: Exchange, permit: Permit<McpCall>, { server, times, trace }: Forwarding): void {
    const { authorized } = permit.admitted
    const { call, identified } = authorized.classified
    const { session, scope, message, opens } = call.detail
    const { open } = this.#options.pipeline
    const modern = scope instanceof ModernRequest ? scope : null
    const asked = message.kind === 'request' ? message : null
    const request = modern !== null ? modern.pending : asked && pendingRequest(asked, identified)
    const reply = new StreamableReply({
      keeper: this.#options.pipeline.dependencies.kept?.result(call) ?? null,
      exchange,
      authorized,
      ...(permit.admitted.hold === undefined ? {} : { hold: permit.admitted.hold }),
      entry: permit.entry,
      rpcId: call.rpcId,
      modern: modern !== null,
      sessionId: (streaming) => (opens && (streaming || session?.version !== null) ? (session?.id ?? null) : null),
      streamMilliseconds: this.#options.limits.streamMilliseconds,
      keepAliveMilliseconds: this.#options.keepAliveMilliseconds,
      times,
      onForbidden: () => (session === null ? modern?.withhold() : this.#forbidden(session, request)),
      onOutcome: (outcome) => {
        open.remove(reply)
        this.#ended(
          permit,
          { session, request, times, trace, method: exchange.head.method, streamed: reply.streamed },
          outcome,
        )
        if (opens) tellOfHandshake(server, session, outcome)
      },
    })
    if (session !== null) session.open++
    this.#options.pipeline.track(reply)
    if (reply.closed) return
    if (this.#options.servers.get(call.resource.server) !== server)
      return reply.fail('server_changed', 'the server was changed or taken away while the request was judged')
    if (session === null) this.#forwardModern(permit, reply, server)
    else this.#forwardIn(session, { permit, reply, request, server })
  }

  #forwardModern(permit: Permit<McpCall>, reply: StreamableReply, { upstream }: McpServer): void {
    const { message } = permit.admitted.authorized.classified.call.detail
    if (lasts(message)) this.#keep(reply, permit)
    const { modern } = upstream
    if (modern === null) return reply.fail('internal', 'a modern request to a server of the legacy era')
    modern.forward(permit, reply)
  }

  #forwardIn(session: McpSession, { permit, reply, request, server }: InSession): void {
    const { message } = permit.admitted.authorized.classified.call.detail
    const begun = beginIn(session, message, request)
    if (typeof begun === 'object') return reply.refuse(begun)
    if (message.kind === 'session-operation') this.#keepStream(session, reply, permit)
    this.#options.sessions.touch(session)
    if (begun === 'done') return reply.status(202)
    this.#upstreamOf(session, server).forward(permit, reply)
  }

  /** Nothing more of the answer passes, on whatever stream; its server hears that nobody waits. */
  #forbidden(session: McpSession, request: PendingRequest | null): void {
    session.withhold(request)
    if (request !== null && request.method !== 'initialize') this.#upstreams.get(session)?.cancel(request.id)
  }

  #keepStream(session: McpSession, reply: StreamableReply, permit: Permit<McpCall>): void {
    session.streams++
    this.#keep(reply, permit)
    reply.onClose(() => session.streams--)
  }

  /** Streams that would never end by themselves. */
  #keep(reply: StreamableReply, { admitted }: Permit<McpCall>): void {
    this.#streams.set(reply, admitted.authorized.classified.identified.principal)
    reply.onClose(() => this.#streams.delete(reply))
  }

  #upstreamOf(session: McpSession, server: McpServer): UpstreamSession {
    const known = this.#upstreams.get(session)
    if (known !== undefined) return known
    const upstream = server.upstream.open(session)
    this.#upstreams.set(session, upstream)
    session.attach(upstream)
    return upstream
  }

  #ended(permit: Permit<McpCall>, ended: Ended, sent: Outcome): void {
    const { session, request, times, trace, method, streamed } = ended
    const { sessions, pipeline } = this.#options
    const outcome = outcomeOf(request, sent)
    if (request !== null) session?.leave(request)
    const { call } = permit.admitted.authorized.classified
    if (session !== null) {
      session.open--
      sessions.touch(session)
      // A handshake that did not settle leaves nothing behind.
      if ((call.detail.opens && session.version === null) || session.ended) sessions.remove(session)
    }
    recordOutcome(permit.entry, outcome, pipeline.dependencies.log).catch(this.#options.onProblem)
    const stream = !streamed ? 'none' : lasts(call.detail.message) ? 'session' : 'answer'
    this.#options.onCall(allowedReport(permit, outcome, { times, trace, method, stream }))
  }
}

interface Route {
  readonly name: string
  readonly server: McpServer
  readonly entrance: Entrance
}

interface InSession {
  readonly permit: Permit<McpCall>
  readonly reply: StreamableReply
  readonly request: PendingRequest | null
  readonly server: McpServer
}

interface Ended {
  readonly session: McpSession | null
  readonly request: PendingRequest | null
  readonly times: StageTimes
  readonly trace: CallTrace | null
  readonly method: string
  readonly streamed: boolean
}

interface Forwarding {
  readonly server: McpServer
  readonly times: StageTimes
  readonly trace: CallTrace | null
}

/** That the answer did not come is no failure when nobody waited for it. */
function outcomeOf(request: PendingRequest | null, outcome: Outcome): Outcome {
  if (request?.state !== 'cancelled') return outcome
  const { http, bytes, milliseconds } = outcome
  return { status: 'cancelled', http, bytes, milliseconds }
}

function routeProblem(method: string, server: McpServer | undefined): Denial | null {
  if (server === undefined) return deny('path_unknown', 'no server has this path')
  return METHODS.has(method) ? null : deny('http_method', `${method} is not a method of MCP`)
}

function formOf(denial: Denial, modern: boolean): RefusalForm {
  return { rpc: true, modern, toolCall: denial.action?.name === 'tools/call' }
}

const NO_SESSIONS: ReadonlySet<number> = new Set([400, 404, 405])

/** Whether the server has sessions: discoveries of the modern era do not say. */
function tellOfHandshake({ upstream }: McpServer, session: McpSession | null, { status, http }: Outcome): void {
  if (session !== null && session.version !== null) upstream.modern?.versions.tried(true)
  else if (status === 'completed' && NO_SESSIONS.has(http)) upstream.modern?.versions.tried(false)
}

/** Before a server has been asked, whoever may call it is judged by what we know: the asking waits for a permit. */
function supportedBy({ upstream }: McpServer): readonly string[] {
  return upstream.modern === null ? LEGACY_VERSIONS : (upstream.modern.versions.known ?? MODERN_VERSIONS)
}
