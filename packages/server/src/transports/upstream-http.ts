/** Servers behind streamable HTTP (legacy era), by undici's dispatch: bytes through, headers chosen, answers judged. */

import type { TLSSocket } from 'node:tls'
import { callbackify } from 'node:util'
import { Pool } from 'undici'
import type { buildConnector, Dispatcher } from 'undici'
import { DoorwardError } from '@doorward/core'
import type { RequestId } from '@doorward/core'
import type { Permit } from '@doorward/enforcement'
import type { McpCall } from './mcp-call.ts'
import type { TrafficOptions } from './server-traffic.ts'
import { idKey } from './session.ts'
import type { McpSession } from './session.ts'
import { HttpAnswer } from './upstream-http-answer.ts'
import { cancellation } from './upstream.ts'
import type { Reply, Upstream, UpstreamLimits, UpstreamSession } from './upstream.ts'

/** How the gateway proves itself to, and recognises, a server. */
export type UpstreamTls =
  /** Plain HTTP to a loopback address, as the operator insisted. */
  | { readonly kind: 'none' }
  /** The system's certification authorities. */
  | { readonly kind: 'system' }
  /** Connections that prove both ends by other means, such as our own identity. */
  | { readonly kind: 'connector'; readonly connect: (host: string, port: number) => Promise<TLSSocket> }

export interface HttpUpstreamOptions {
  readonly name: string
  readonly url: string
  readonly tls: UpstreamTls
  readonly limits: UpstreamLimits
  readonly traffic: TrafficOptions
  readonly onFailure: (reason: string) => void
}

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/** Throws `upstream_url_invalid`. Connects to nothing yet. */
export function openHttpUpstream(options: HttpUpstreamOptions): Upstream {
  const url = checkUrl(options)
  const pool = new Pool(url.origin, {
    connections: options.limits.concurrency,
    pipelining: 1,
    headersTimeout: options.limits.responseMilliseconds,
    bodyTimeout: 0,
    connectTimeout: Math.min(10_000, options.limits.responseMilliseconds),
    keepAliveTimeout: 30_000,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: 16_384,
    allowH2: false,
    ...(options.tls.kind === 'connector' ? { connect: connectorOf(options.tls.connect) } : {}),
  })
  let busy = 0
  return {
    name: options.name,
    transport: 'http',
    open: (session) =>
      new HttpSession(session, {
        options,
        path: `${url.pathname}${url.search}`,
        dispatch(request, handler) {
          pool.dispatch({ origin: url.origin, ...request }, handler)
        },
        enter: () => (busy >= options.limits.concurrency ? false : (busy++, true)),
        leave: () => void busy--,
      }),
    close: () => pool.destroy(),
  }
}

function connectorOf(connect: (host: string, port: number) => Promise<TLSSocket>): buildConnector.connector {
  const dial = callbackify(({ hostname, port }: buildConnector.Options) =>
    connect(hostname.replaceAll(/[[\]]/g, ''), Number(port) || 443),
  )
  return (options, done) => dial(options, (error, socket) => (error === null ? done(null, socket) : done(error, null)))
}

function checkUrl({ name, url: text, tls }: HttpUpstreamOptions): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  const where = `servers.${name}.url`
  if (url === null || url.username !== '' || url.password !== '' || url.hash !== '') {
    throw new DoorwardError('upstream_url_invalid', 'the URL of a server is not usable', {
      where,
      expected: 'https://host[:port]/path',
      got: text,
    })
  }
  const plain = url.protocol === 'http:' && tls.kind === 'none' && LOOPBACK.test(url.hostname)
  if (plain || (url.protocol === 'https:' && tls.kind !== 'none')) return url
  throw new DoorwardError(
    'upstream_url_invalid',
    'a server may be reached without TLS only on this machine and on request',
    {
      where,
      expected: 'https, or http to a loopback address with insecure_upstream: true',
      got: text,
    },
  )
}

interface Wire {
  readonly options: HttpUpstreamOptions
  readonly path: string
  dispatch(
    request: Pick<Dispatcher.DispatchOptions, 'method' | 'path' | 'headers' | 'body'>,
    handler: Dispatcher.DispatchHandler,
  ): void
  enter(): boolean
  leave(): void
}

class HttpSession implements UpstreamSession {
  readonly #session: McpSession
  readonly #wire: Wire
  readonly #open = new Set<HttpAnswer>()
  /** The server's own id of this session, once it has named one. */
  #upstreamId: string | null = null

  constructor(session: McpSession, wire: Wire) {
    this.#session = session
    this.#wire = wire
  }

  forward(permit: Permit<McpCall>, reply: Reply): void {
    const { body, call } = permit.use().authorized.classified
    if (!this.#wire.enter()) return reply.fail('upstream_unavailable', 'too many requests are under way at this server')
    const answer = new HttpAnswer({
      call: call.detail,
      reply,
      session: this.#session,
      limits: this.#wire.options.limits,
      traffic: this.#wire.options.traffic,
      onFailure: this.#wire.options.onFailure,
      onNamed: (id) => {
        this.#upstreamId ??= id
      },
      refuseToServer: (message) => this.#tellServer(message),
      onEnd: () => {
        this.#wire.leave()
        this.#open.delete(answer)
      },
    })
    this.#open.add(answer)
    const { message, head } = call.detail
    if (message.kind === 'response') this.#session.toClient.delete(idKey(message.id))
    this.#wire.dispatch(
      {
        method: head.method,
        path: this.#wire.path,
        headers: this.#headers(call.detail),
        body: head.method === 'POST' ? body : null,
      },
      answer,
    )
  }

  cancel(id: RequestId): void {
    this.#tellServer(cancellation(id))
  }

  end(): void {
    for (const answer of this.#open) answer.cancel('the session has ended')
  }

  /** A message of our own, such as the answer to a request of the server that its client must not see. */
  #tellServer(message: Uint8Array): void {
    if (!this.#wire.enter()) return
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...this.#sessionHeaders(),
    }
    this.#wire.dispatch(
      { method: 'POST', path: this.#wire.path, headers, body: message },
      forgotten(() => this.#wire.leave()),
    )
  }

  #sessionHeaders(): Record<string, string> {
    const { version } = this.#session
    return {
      ...(this.#upstreamId === null ? {} : { 'mcp-session-id': this.#upstreamId }),
      ...(version === null ? {} : { 'mcp-protocol-version': version }),
    }
  }

  /**
   * Nothing of the caller's but what the protocol needs: no credentials, cookies, origins or addresses. Where there is a
   * trace, the server hears of our span and of the caller's vendors, never of the caller's own header.
   */
  #headers({ head, trace }: McpCall): Record<string, string> {
    const headers: Record<string, string> = { 'user-agent': 'doorward' }
    for (const name of ['accept', 'content-type', 'last-event-id', 'mcp-protocol-version']) {
      const value = head.headers[name]
      if (value !== undefined && (name !== 'content-type' || head.method === 'POST')) headers[name] = value
    }
    if (this.#upstreamId !== null) headers['mcp-session-id'] = this.#upstreamId
    if (trace !== null) headers['traceparent'] = trace.traceparent
    if (trace !== null && trace.tracestate !== null) headers['tracestate'] = trace.tracestate
    return headers
  }
}

/** An answer that nobody reads. */
function forgotten(onEnd: () => void): Dispatcher.DispatchHandler {
  return {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd: onEnd,
    onResponseError: onEnd,
  }
}
