/** Calls of local programs to one workload: as the sidecar's identity, to nobody but who is expected there. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { isDoorwardError, parseSpiffeId } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import type { DenialCode, RefusalCounter, TrustSource } from '@doorward/enforcement'
import { ServerRefused } from '@doorward/sdk'
import type { CallResponse, SignedFetch } from '@doorward/sdk'
import type { OutboundSettings } from '../../config/sidecar-file.ts'
import {
  hasAllHeaders,
  LocalHttp,
  readLocalBody,
  refuseConnection,
  refuseLocal,
} from '../../transports/sidecar/local-http.ts'
import { headersOfPeer, requestHeaders } from '../../transports/sidecar/passing-headers.ts'
import { relay } from '../../transports/sidecar/relay.ts'
import { listenForAll } from '../../transports/workload-api/open-socket.ts'
import type { RefusedCall } from './events.ts'
import { listenAtPort } from './listen-at-port.ts'
import type { JudgeCaller, LocalCaller } from './local-callers.ts'

export interface OutboundParts {
  readonly settings: OutboundSettings
  readonly signed: SignedFetch
  /** Whether whoever is called may have been revoked without our hearing of it. */
  readonly trust: Pick<TrustSource, 'ageSeconds'>
  readonly judge: JudgeCaller
  readonly refusals: RefusalCounter
  readonly report: (event: RefusedCall) => void
  readonly onProblem: (error: unknown) => void
}

export interface OutboundListener {
  /** `unix:/run/planner/orders.sock`, `127.0.0.1:7001`. */
  readonly at: string
  /** Since it was opened: what was answered, whatever the answer. */
  numbers(): { readonly calls: number; readonly underWay: number }
  close(): Promise<void>
}

const MAX_CONNECTIONS = 512
/** Of those that are told why. */
const MAX_TURNED_AWAY = 32
const GRACE_MILLISECONDS = 8000
/** Without news for longer than that nobody is called, and no answer goes on. */
export const staleSeconds = 300
const LOOK_MILLISECONDS = 1000
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'])

/** Throws the codes of `listenForAll`, and `port_in_use`. */
export async function openOutbound(parts: OutboundParts): Promise<OutboundListener> {
  const { settings, onProblem } = parts
  const outbound = new Outbound(parts)
  const accept = (socket: Socket) =>
    void outbound.accept(socket).catch((error: unknown) => {
      socket.destroy()
      onProblem(error)
    })
  const numbers = () => outbound.numbers()
  const { place } = settings
  if ('socket' in place) {
    const listening = await listenForAll({ path: place.socket, connections: MAX_CONNECTIONS, accept, onProblem })
    outbound.watch()
    return { at: `unix:${listening.path}`, numbers, close: () => outbound.closedWith(listening.close()) }
  }
  const close = await atPort(place.port, { accept, outbound, onProblem })
  outbound.watch()
  return { at: `127.0.0.1:${place.port}`, numbers, close }
}

async function atPort(
  port: number,
  {
    accept,
    outbound,
    onProblem,
  }: { accept: (socket: Socket) => void; outbound: Outbound; onProblem: OutboundParts['onProblem'] },
): Promise<() => Promise<void>> {
  const server = createServer({ pauseOnConnect: true }, accept)
  server.maxConnections = MAX_CONNECTIONS
  await listenAtPort(server, port, 'outbound[].listen.port')
  server.on('error', onProblem)
  return () => outbound.closedWith(new Promise((resolve) => server.close(() => resolve())))
}

interface Failure {
  readonly code: DenialCode
  readonly cause?: string
  readonly reason: string
}

const stale: Failure = { code: 'trust_stale', reason: `no news of the authority for ${staleSeconds} s` }
/** Why a call was ended. One of each for all calls: an error is dear to make. */
const staleness = new Error('the trust state was not confirmed for too long')
const lateness = new Error('no answer in time')
const goneAway = new Error('nobody waits for the answer any more')

class Outbound {
  readonly #parts: OutboundParts
  readonly #http: LocalHttp
  readonly #callers = new WeakMap<Socket, LocalCaller>()
  readonly #id: SpiffeId
  /** Calls under way, by what ends them. */
  readonly #underWay = new Set<AbortController>()
  #look: NodeJS.Timeout | undefined
  #turnedAway = 0
  #answered = 0

  constructor(parts: OutboundParts) {
    this.#parts = parts
    this.#id = parseSpiffeId(parts.settings.id)
    this.#http = new LocalHttp(({ request, response }) => this.#serve(request, response), parts.onProblem)
  }

  /** Until it is closed. */
  watch(): void {
    this.#look = setInterval(() => this.#endStale(), LOOK_MILLISECONDS).unref()
  }

  #isStale(): boolean {
    return this.#parts.trust.ageSeconds() > staleSeconds
  }

  #endStale(): void {
    if (this.#isStale()) for (const end of this.#underWay) end.abort(staleness)
  }

  /** Who it is is asked before a byte is read. */
  async accept(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy())
    const caller = await this.#parts.judge(socket)
    socket.once('close', () => caller.close())
    if (socket.destroyed) return caller.close()
    const problem = await caller.problem()
    // Whoever has gone meanwhile was refused nothing, and what is gone cannot be looked at.
    if (socket.destroyed) return
    if (problem !== null) {
      this.#refused(caller, { code: 'local_caller_refused', reason: problem })
      return this.#turnAway(socket)
    }
    this.#callers.set(socket, caller)
    this.#http.serve(socket)
    socket.resume()
  }

  /** Whoever comes in masses is not answered: their connections would keep others out. */
  #turnAway(socket: Socket): void {
    if (this.#turnedAway >= MAX_TURNED_AWAY) return void socket.destroy()
    this.#turnedAway++
    socket.once('close', () => this.#turnedAway--)
    refuseConnection(socket, { code: 'local_caller_refused' })
  }

  numbers(): { readonly calls: number; readonly underWay: number } {
    return { calls: this.#answered, underWay: this.#underWay.size }
  }

  async closedWith(listening: Promise<void>): Promise<void> {
    this.#http.close(GRACE_MILLISECONDS)
    await listening
    clearInterval(this.#look)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const caller = this.#callers.get(request.socket)
    if (caller === undefined) return void request.socket.destroy()
    const problem = await caller.problem()
    if (request.socket.destroyed) return
    const failure =
      problem === null
        ? await this.#bounded(request, response)
        : { code: 'local_caller_refused' as const, reason: problem }
    if (failure === null) return void this.#answered++
    this.#refused(caller, failure)
    refuseLocal(response, failure)
  }

  /** A refusal never waits for the record, and is never lost: the counter writes it as soon as it can. */
  #refused({ name, source }: LocalCaller, { code, cause, reason }: Failure): void {
    const { refusals, report, settings } = this.#parts
    refusals.count({ source, reason: cause === undefined ? code : `${code} ${cause}` })
    report({ type: 'refused', code: cause ?? code, reason, caller: name, to: settings.to })
  }

  async #bounded(request: IncomingMessage, response: ServerResponse): Promise<Failure | null> {
    const { concurrent } = this.#parts.settings.limits
    if (this.#underWay.size >= concurrent)
      return { code: 'upstream_busy', reason: `${concurrent} requests are under way` }
    const end = new AbortController()
    this.#underWay.add(end)
    try {
      return await this.#call(request, response, end)
    } finally {
      this.#underWay.delete(end)
    }
  }

  async #call(request: IncomingMessage, response: ServerResponse, end: AbortController): Promise<Failure | null> {
    const { settings } = this.#parts
    if (!hasAllHeaders(request)) return { code: 'header_limit', reason: 'more headers than a request may have' }
    const method = request.method ?? ''
    const url = targetOf(settings.to, request.url ?? '')
    if (!METHODS.has(method)) return { code: 'http_method', reason: `the method ${method.slice(0, 20)}` }
    if (url === null) return { code: 'path_ambiguous', reason: 'a path that could be read in two ways' }
    const body = await readLocalBody(request, settings.bodyBytes)
    if (typeof body === 'string') return { code: body, reason: 'the body of the request' }
    response.once('close', () => response.writableFinished || end.abort(goneAway))
    if (response.destroyed) return null
    if (this.#isStale()) return stale
    const answer = await this.#answer(url, { method, request, body, end })
    const failure = 'code' in answer ? answer : await this.#give(answer, response)
    switch (end.signal.reason) {
      case goneAway:
        return 'code' in answer ? null : failure
      case staleness:
        return failure === null ? null : stale
      default:
        return failure
    }
  }

  async #answer(
    url: URL,
    {
      method,
      request,
      body,
      end,
    }: { method: string; request: IncomingMessage; body: Uint8Array; end: AbortController },
  ): Promise<CallResponse | Failure> {
    const { signed, settings } = this.#parts
    const timer = setTimeout(() => end.abort(lateness), settings.limits.answerMilliseconds).unref()
    const bodiless = body.length === 0 && request.headers['content-length'] === undefined
    try {
      return await signed.call(url, {
        method,
        headers: requestHeaders(request.headers),
        ...(bodiless ? {} : { body }),
        audience: settings.audience,
        expectedId: this.#id,
        signal: end.signal,
      })
    } catch (error) {
      if (end.signal.reason === lateness) return { code: 'upstream_timeout', reason: 'no answer in time' }
      return failureOf(error)
    } finally {
      clearTimeout(timer)
    }
  }

  async #give({ status, headers, body }: CallResponse, response: ServerResponse): Promise<Failure | null> {
    const { limits } = this.#parts.settings
    const { 'content-length': length } = headers
    const head = {
      status,
      headers: { ...headersOfPeer(headers), ...(length === undefined ? {} : { 'content-length': length }) },
    }
    const end = await relay(body, response, head, { ...limits, bytes: Number.MAX_SAFE_INTEGER })
    if (end === 'whole' || end === 'unread') return null
    return { code: 'upstream_invalid', cause: `answer_${end}`, reason: 'the answer broke off' }
  }
}

/** The URL of a target in origin form that is spelled as URLs are; null for any other. */
function targetOf(origin: string, target: string): URL | null {
  if (!target.startsWith('/') || target.includes('#')) return null
  const text = `${origin}${target}`
  const url = URL.canParse(text) ? new URL(text) : null
  return url !== null && url.origin === origin && `${url.pathname}${url.search}` === target ? url : null
}

const UNEXPECTED = /^server_(?:identity|profile|untrusted|expired|revoked|not_issued)$/
const STALE = /^(?:trust_state_missing|trust_stale)$/

/** Whoever answered was not who was expected, or nobody did, or the authority gives us nothing to call with. */
function failureOf(error: unknown): Failure {
  if (error instanceof ServerRefused)
    return { code: 'credential_unavailable', cause: error.code, reason: 'the authority gives no token for this' }
  if (!isDoorwardError(error)) throw error
  const { code: cause, message, got } = error
  const reason = got === undefined ? message : `${message}: ${got}`
  if (UNEXPECTED.test(cause)) return { code: 'upstream_identity', cause, reason }
  if (STALE.test(cause)) return { code: 'trust_stale', cause, reason }
  if (/^(?:identity_|token_)/.test(cause)) return { code: 'credential_unavailable', cause, reason }
  return { code: 'upstream_unavailable', cause, reason }
}
