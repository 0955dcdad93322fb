/** The MCP endpoint: one path per server, POST, GET and DELETE, each request decided and recorded on its own. */

import { recordOutcome, isRefusal, deny, StageTimes } from '@doorward/enforcement'
import type { Denial, Inbound, Outcome, Permit, Pipeline, Refusal } from '@doorward/enforcement'
import type { ActionGroup, ClassifiedRequest, ToolEffect } from '@doorward/core'
import type { BeginTrace, CallTrace } from './call-trace.ts'
import { sendRefusal } from './denial-response.ts'
import type { RefusalForm } from './denial-response.ts'
import type { Exchange } from './exchange.ts'
import { mcpClassifier } from './mcp-call.ts'
import type { McpCall } from './mcp-call.ts'
import type { McpSession, PendingRequest, SessionTable } from './session.ts'
import { StreamableReply } from './streamable-http-reply.ts'
import type { Upstream, UpstreamLimits, UpstreamSession } from './upstream.ts'

export interface McpServer {
  readonly upstream: Upstream
  readonly effectOf: (tool: string) => ToolEffect
  /** Resource identifier of the path, from configuration. */
  readonly audience: string
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
  /** No call has a trace by default. */
  readonly beginTrace?: BeginTrace | undefined
  /** Told of outcomes that could not be recorded. */
  readonly onProblem: (error: unknown) => void
}

/** One line of the log. */
export interface CallReport {
  readonly decision: string | null
  readonly code: string
  readonly caller: string | null
  readonly server: string | null
  readonly action: string | null
  readonly subject: string | null
  readonly outcome: Outcome | null
  /** Of the action; null where the call was not understood. */
  readonly group: ActionGroup | null
  readonly times: StageTimes
  /** `answer`: the answer was an event stream; `session`: what was asked for is the session's own, which lasts. */
  readonly stream: 'none' | 'answer' | 'session'
  /** HTTP method of the request, and status of the answer. */
  readonly method: string
  readonly http: number
  readonly trace: CallTrace | null
  /** Of a trace that is kept; null for every other call. */
  readonly traceId: string | null
}

const PREFIX = '/mcp/'
const METHODS = new Set(['POST', 'GET', 'DELETE'])

export class StreamableHttp {
  readonly #options: StreamableHttpOptions
  readonly #streams = new Set<StreamableReply>()
  readonly #upstreams = new WeakMap<McpSession, UpstreamSession>()

  constructor(options: StreamableHttpOptions) {
    this.#options = options
  }

  /** Ends the streams that would never end by themselves; requests under way go on. */
  endStreams(): void {
    for (const reply of this.#streams) reply.end()
  }

  /** Answers one request. */
  async serve(exchange: Exchange): Promise<void> {
    const { head } = exchange
    const name = head.path.startsWith(PREFIX) ? head.path.slice(PREFIX.length) : ''
    const server = this.#options.servers.get(name)
    const inbound: Inbound = { connection: exchange.connection, head, audience: server?.audience ?? '' }
    const problem = exchange.problem ?? routeProblem(head.method, server)
    if (problem !== null || server === undefined) {
      return this.#refuse(exchange, inbound, problem ?? deny('path_unknown', 'no server has this path'))
    }
    await this.#decide(exchange, inbound, { name, server })
  }

  async #refuse(exchange: Exchange, inbound: Inbound, denial: Denial): Promise<void> {
    const refusal = await this.#options.pipeline.refuseHead(inbound, denial)
    if (refusal.denial.code === 'http_method') exchange.response.setHeader('Allow', 'POST, GET, DELETE')
    sendRefusal(exchange, refusal, { rpc: true })
  }

  async #decide(
    exchange: Exchange,
    inbound: Inbound,
    { name, server }: { name: string; server: McpServer },
  ): Promise<void> {
    const { pipeline, sessions, bodyBytes, monotonic } = this.#options
    const trace = this.#traceOf(exchange)
    const times = new StageTimes(monotonic, trace?.sampled === true)
    let opened: McpSession | null = null
    const result = await pipeline.enforce(inbound, {
      credential: 'token',
      times,
      readBody: () => (exchange.head.method === 'POST' ? exchange.readBody(bodyBytes) : exchange.readBody(0)),
      classifier: mcpClassifier({
        server: name,
        effectOf: server.effectOf,
        sessions,
        bodyBytes,
        head: exchange.head,
        trace,
        onOpened: (session) => {
          opened = session
        },
      }),
    })
    if (isRefusal(result)) {
      if (opened !== null) sessions.remove(opened)
      sendRefusal(exchange, result, formOf(result.denial))
      times.mark('closed')
      this.#options.onCall(reportOf(exchange, result, { server: name, times, trace }))
      return
    }
    this.#forward(exchange, result, { server, times, trace })
  }

  /** The session's own stream lasts as long as it is wanted: it is no call of a trace. */
  #traceOf({ head }: Exchange): CallTrace | null {
    return head.method === 'GET' ? null : (this.#options.beginTrace?.(head) ?? null)
  }

  #forward(exchange: Exchange, permit: Permit<McpCall>, { server, times, trace }: Forwarding): void {
    const { authorized } = permit.admitted
    const { call } = authorized.classified
    const { session, message, opens } = call.detail
    const { open } = this.#options.pipeline
    const request = message.kind === 'request' ? pendingRequest(message) : null
    const reply = new StreamableReply({
      keeper: this.#options.pipeline.dependencies.kept?.result(call) ?? null,
      exchange,
      authorized,
      entry: permit.entry,
      rpcId: call.rpcId,
      sessionId: (streaming) => (opens && (streaming || session.version !== null) ? session.id : null),
      streamMilliseconds: this.#options.limits.streamMilliseconds,
      keepAliveMilliseconds: this.#options.keepAliveMilliseconds,
      times,
      onForbidden: () => this.#forbidden(session, request),
      onOutcome: (outcome) => {
        open.remove(reply)
        this.#ended(
          permit,
          { session, request, times, trace, method: exchange.head.method, streamed: reply.streamed },
          outcome,
        )
      },
    })
    session.open++
    this.#options.pipeline.track(reply)
    if (reply.closed) return
    if (session.ended) return reply.fail('session_unknown', 'the session ended while the request was judged')
    if (message.kind === 'session-operation') this.#keepStream(session, reply)
    this.#options.sessions.touch(session)
    if (request !== null && !session.expect(request)) {
      return reply.fail('request_invalid', 'too many requests wait, or one with this id')
    }
    if (message.kind === 'notification' && message.method === 'notifications/cancelled') {
      if (message.refersTo !== undefined) session.cancel(message.refersTo)
    }
    this.#upstreamOf(session, server).forward(permit, reply)
  }

  /** Nothing more of the answer passes, on whatever stream; its server hears that nobody waits. */
  #forbidden(session: McpSession, request: PendingRequest | null): void {
    session.withhold(request)
    if (request !== null && request.method !== 'initialize') this.#upstreams.get(session)?.cancel(request.id)
  }

  #keepStream(session: McpSession, reply: StreamableReply): void {
    session.streams++
    this.#streams.add(reply)
    reply.onClose(() => {
      session.streams--
      this.#streams.delete(reply)
    })
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
    if (request !== null) session.leave(request)
    const { authorized } = permit.admitted
    const { call, identified } = authorized.classified
    session.open--
    sessions.touch(session)
    // A handshake that did not settle leaves nothing behind.
    if (call.detail.opens && session.version === null) sessions.remove(session)
    if (session.ended) sessions.remove(session)
    recordOutcome(permit.entry, outcome, pipeline.dependencies.log).catch(this.#options.onProblem)
    this.#options.onCall({
      decision: permit.entry.toString(),
      code: outcome.code ?? 'allowed',
      caller: identified.principal.presenter.uri,
      server: call.resource.server,
      action: call.action.name,
      subject: call.resource.name,
      outcome,
      group: call.action.group,
      times,
      stream: !streamed ? 'none' : call.detail.message.kind === 'session-operation' ? 'session' : 'answer',
      method,
      http: outcome.http,
      trace,
      traceId: keptId(trace),
    })
  }
}

interface Ended {
  readonly session: McpSession
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

function keptId(trace: CallTrace | null): string | null {
  return trace?.sampled === true ? trace.traceId : null
}

function pendingRequest({ id, method, progressToken }: ClassifiedRequest): PendingRequest {
  return { id, method, progressToken, state: 'waiting', left: false }
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

function formOf(denial: Denial): RefusalForm {
  return { rpc: true, toolCall: denial.action?.name === 'tools/call' }
}

interface Refused extends Pick<CallReport, 'times' | 'trace'> {
  readonly server: string
}

function reportOf({ head, response }: Exchange, { denial, entry }: Refusal, refused: Refused): CallReport {
  const { server, times, trace } = refused
  const { caller } = denial
  return {
    decision: typeof entry === 'string' ? null : entry.toString(),
    code: denial.code,
    caller: caller === null ? null : 'presenter' in caller ? caller.presenter.uri : caller.id,
    server,
    action: denial.action?.name ?? null,
    subject: denial.resource?.name ?? null,
    outcome: null,
    group: denial.action?.group ?? null,
    times,
    stream: 'none',
    method: head.method,
    http: response.statusCode,
    trace,
    traceId: keptId(trace),
  }
}
