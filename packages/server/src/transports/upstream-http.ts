/** Servers behind streamable HTTP, by undici's dispatch: bytes through, headers chosen, answers judged. */

import type { TLSSocket } from 'node:tls'
import { callbackify } from 'node:util'
import { Pool } from 'undici'
import type { buildConnector, Dispatcher } from 'undici'
import { DoorwardError, outwardTls } from '@doorward/core'
import type { RequestId } from '@doorward/core'
import { cancellation, idKey } from '@doorward/enforcement'
import type { Permit, McpCall, McpSession } from '@doorward/enforcement'
import { CredentialedSender } from './server-credential.ts'
import type { CredentialedAnswer, Given, Sender } from './server-credential.ts'
import { HttpAnswer } from './upstream-http-answer.ts'
import { modernHttp } from './upstream-http-modern.ts'
import { ownHeaders, ownUse, REPEATABLE } from './upstream-http-wire.ts'
import type { HttpUpstreamOptions, Wire } from './upstream-http-wire.ts'
import type { Reply, Upstream, UpstreamLimits, UpstreamSession } from './upstream.ts'

export type { HttpUpstreamOptions, UpstreamTls } from './upstream-http-wire.ts'

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/** Throws `upstream_url_invalid`. Connects to nothing yet. */
export function openHttpUpstream(options: HttpUpstreamOptions): Upstream {
  const url = checkUrl(options)
  const pool = poolOf(options, url)
  let busy = 0
  const sender = new CredentialedSender(options.credential ?? null, (request, handler) => {
    pool.dispatch({ origin: url.origin, ...request }, handler)
  })
  const wire: Wire = {
    options,
    path: `${url.pathname}${url.search}`,
    dispatch: (...sent) => sender.dispatch(...sent),
    widen: (...asked) => sender.widen(...asked),
    renews: sender.renews,
    enter: () => (busy >= options.limits.concurrency ? false : (busy++, true)),
    leave: () => void busy--,
  }
  return {
    name: options.name,
    transport: 'http',
    open: (session) => new HttpSession(session, wire),
    modern: modernHttp(wire),
    close: () => pool.destroy(),
  }
}

/** Connections to the server of the URL, each proving both ends as `tls` says; the oldest TLS is that of `outwardTls`. */
export function poolOf({ limits, tls }: Pick<HttpUpstreamOptions, 'limits' | 'tls'>, url: URL): Pool {
  return new Pool(url.origin, {
    connections: limits.concurrency,
    pipelining: 1,
    // Each answer has a deadline of its own, which informational answers and slow heads do not move.
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeout: Math.min(10_000, limits.responseMilliseconds),
    keepAliveTimeout: 30_000,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: 16_384,
    allowH2: false,
    connect: tls.kind === 'connector' ? connectorOf(tls.connect) : outwardTls,
  })
}

/** As undici asks for connections. */
export function connectorOf(connect: (host: string, port: number) => Promise<TLSSocket>): buildConnector.connector {
  const dial = callbackify(({ hostname, port }: buildConnector.Options) =>
    connect(hostname.replaceAll(/[[\]]/g, ''), Number(port) || 443),
  )
  return (options, done) => dial(options, (error, socket) => (error === null ? done(null, socket) : done(error, null)))
}

/** Throws `upstream_url_invalid`. */
export function checkUrl({ name, url: text, tls }: Pick<HttpUpstreamOptions, 'name' | 'url' | 'tls'>): URL {
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
    const { classified } = permit.use().authorized
    const { body, call } = classified
    if (!this.#wire.enter()) return reply.fail('upstream_busy', 'too many requests are under way at this server', 1)
    const { message, head } = call.detail
    const own: Sender = { principal: classified.identified.principal, onUse: (use) => reply.used(use) }
    const given: Given = { fields: null }
    const request = {
      method: head.method,
      path: this.#wire.path,
      headers: this.#headers(call.detail),
      body: head.method === 'POST' ? body : null,
    }
    const answer = new HttpAnswer({
      call: call.detail,
      reply,
      scope: this.#session,
      onGone: () => this.#session.end(),
      limits: this.#wire.options.limits,
      traffic: this.#wire.options.traffic,
      onFailure: this.#wire.options.onFailure,
      onNamed: (id) => {
        this.#upstreamId ??= id
      },
      refuseToServer: (message) => this.#tellServer(message),
      again: REPEATABLE.has(call.action.group) ? () => this.#wire.dispatch(request, answer, own) : null,
      renew: this.#wire.renews ? () => this.#wire.dispatch(request, answer, own, given) : null,
      widen: (scopes) => this.#wire.widen(scopes, own, given),
      onEnd: () => {
        this.#wire.leave()
        this.#open.delete(answer)
      },
    })
    this.#open.add(answer)
    if (message.kind === 'response') this.#session.toClient.delete(idKey(message.id))
    this.#wire.dispatch(request, answer, own, given)
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
    const { principal } = this.#session.identified
    this.#wire.dispatch(
      { method: 'POST', path: this.#wire.path, headers, body: message },
      forgotten(() => this.#wire.leave(), this.#wire.options.limits),
      { principal, onUse: ownUse(this.#wire.options, principal) },
    )
  }

  #sessionHeaders(): Record<string, string> {
    const { version } = this.#session
    return {
      ...(this.#upstreamId === null ? {} : { 'mcp-session-id': this.#upstreamId }),
      ...(version === null ? {} : { 'mcp-protocol-version': version }),
    }
  }

  /** Nothing of the caller's but what the protocol needs: no credentials, cookies, origins or addresses. */
  #headers({ head, trace }: McpCall): Record<string, string> {
    const headers = ownHeaders(trace)
    // What was judged was read as UTF-8, whatever its sender calls it.
    if (head.method === 'POST') headers['content-type'] = 'application/json'
    for (const name of ['accept', 'last-event-id', 'mcp-protocol-version']) {
      const value = head.headers[name]
      if (value !== undefined) headers[name] = value
    }
    const resumed = headers['last-event-id']
    const id = resumed === undefined ? null : this.#session.events.idOf(resumed)
    if (id !== null) headers['last-event-id'] = id
    if (this.#upstreamId !== null) headers['mcp-session-id'] = this.#upstreamId
    return headers
  }
}

const FORGOTTEN_BYTES = 64 * 1024

/** An answer that nobody reads, and that is waited for no longer than any other. */
function forgotten(onEnd: () => void, { responseMilliseconds }: UpstreamLimits): CredentialedAnswer {
  let controller: Dispatcher.DispatchController | null = null
  let bytes = 0
  let late = false
  const deadline = setTimeout(() => {
    late = true
    controller?.abort(new Error('no answer'))
  }, responseMilliseconds).unref()
  const end = () => {
    clearTimeout(deadline)
    onEnd()
  }
  return {
    get over() {
      return late
    },
    onRequestStart(started) {
      controller = started
    },
    onResponseStart() {},
    onResponseData(_controller, chunk) {
      bytes += chunk.length
      if (bytes > FORGOTTEN_BYTES) controller?.abort(new Error('the answer is too large'))
    },
    onResponseEnd: end,
    onResponseError: end,
  }
}
