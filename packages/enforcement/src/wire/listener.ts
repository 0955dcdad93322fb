/** One address that speaks HTTP/1.1 over TLS 1.3: handshake, connection and header limits, nothing decided about calls. */

import { createHash } from 'node:crypto'
import { createServer } from 'node:https'
import type { Server, ServerOptions } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { connectionLife, epochSeconds, readCertificate } from '@doorward/core'
import type { Clock, EpochMillis } from '@doorward/core'
import { CertificateStanding } from '../certificate-standing.ts'
import type { Connection } from '../inbound.ts'
import { acmeProtocol, alpnOptions } from './alpn.ts'
import type { NameProofs } from './alpn.ts'
import { Arrivals } from './arrivals.ts'
import { BodyReader } from './body-reader.ts'
import type { BodyRules } from './body-reader.ts'
import { defaultGateLimits } from './connection-gate.ts'
import type { GateLimits } from './connection-gate.ts'
import { ConnectionPace } from './connection-pace.ts'
import type { PaceRules } from './connection-pace.ts'
import { exchangeOf } from './exchange.ts'
import type { Exchange } from './exchange.ts'
import { handshakeDetail, handshakeReason, withoutCertificate } from './handshake-refusal.ts'
import type { HandshakeReason } from './handshake-refusal.ts'
import { listenError, parserStatus } from './listener-errors.ts'
import { OpenAnswers } from './open-answers.ts'
import { rawAnswer } from './raw-answer.ts'
import { remoteAddressOf } from './remote-address.ts'
import { readHead } from './request-head.ts'
import type { HeadRules } from './request-head.ts'
import { contextOptions } from './tls-context.ts'
import type { TlsMaterial } from './tls-context.ts'

export { defaultCipherSuites } from './tls-context.ts'
export type { TlsMaterial } from './tls-context.ts'

export interface ListenerLimits extends GateLimits {
  /** With a complete handshake; 10,000 by default. One more takes the place of the idlest. */
  readonly connections: number
  readonly handshakeMilliseconds: number
  /** For the complete header section. */
  readonly headersMilliseconds: number
  /** For the complete request with its body; answers have no such limit. */
  readonly requestMilliseconds: number
  readonly idleMilliseconds: number
  readonly headerBytes: number
  readonly headerLines: number
  readonly body?: BodyRules
  readonly pace?: PaceRules
}

export const defaultListenerLimits: ListenerLimits = {
  ...defaultGateLimits,
  handshakeMilliseconds: 5000,
  headersMilliseconds: 5000,
  requestMilliseconds: 30_000,
  idleMilliseconds: 60_000,
  headerBytes: 16 * 1024,
  headerLines: 64,
}

export interface RefusedHandshake {
  readonly remoteAddress: string
  readonly reason: HandshakeReason
  /** For the operator. */
  readonly detail: string
}

export interface ListenerOptions {
  /** `main`, `admin`, `enrol`, `public`. */
  readonly name: string
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /**
   * `required`: must chain to an anchor. `self-signed`: one is asked for and the API judges it (enrolment only).
   * `none`: none is asked for.
   */
  readonly clientCertificate: 'required' | 'self-signed' | 'none'
  /** Null: there is none yet, and handshakes are refused until there is. */
  readonly material: TlsMaterial | null
  /** Names that are proven to a certificate authority here; none by default. */
  readonly proofs?: NameProofs
  /** Accepted `Host` values, `host` or `host:port`; with port 0 a value `host:0` stands for the port taken. */
  readonly authorities: readonly string[]
  /** Accepted `Origin` values; none by default. */
  readonly origins?: readonly string[]
  /** TLS 1.3 suites, best first; AES-256-GCM and ChaCha20-Poly1305 by default. */
  readonly cipherSuites: readonly string[]
  readonly securityHeaders: Readonly<Record<string, string>>
  readonly limits: ListenerLimits
  /** Addresses that say, by a PROXY header, whom their connections are from; none by default. */
  readonly isProxy?: (address: string) => boolean
  readonly clock: Clock
  /** Told in every answer: `Doorward-Time`, milliseconds since the epoch. Nothing is told by default. */
  readonly time?: Clock
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  readonly onExchange: (exchange: Exchange) => Promise<void>
  /** Takes connections of peers that speak HTTP/2 alone; nobody may by default. */
  readonly onHttp2?: (socket: TLSSocket, connection: Connection, onCall: CallBegins) => Http2Peer
  readonly onRefusedHandshake: (refusal: RefusedHandshake) => void
}

/** Told when a call begins; what it gives is told when that has ended. */
export type CallBegins = () => () => void

/** A connection that speaks HTTP/2. */
export interface Http2Peer {
  /** Takes no more calls, and ends with those under way. */
  close(): void
}

export interface Listener {
  readonly name: string
  readonly address: { readonly host: string; readonly port: number }
  /** New connections use the new material; open ones keep theirs until it ends. */
  update(material: TlsMaterial): void
  /** Accepts these `Origin` values from the next request on. */
  acceptOrigins(origins: readonly string[]): void
  /** Accepts these `Host` values from the next request on, beside those of the start. */
  acceptHosts(hosts: readonly string[]): void
  /** Closes the connections that match; how many. */
  closeConnections(which: (connection: Connection) => boolean): number
  readonly openConnections: number
  /** Handshakes that were completed since it was opened. */
  readonly handshakes: number
  /** Stops accepting, lets requests end for that long, then closes what is left. */
  close(graceMilliseconds: number): Promise<void>
}

let connectionsSeen = 0
/** A flood of records costs no more than this much of a core before it is seen. */
const LOOK_MILLISECONDS = 500
/** Callers are being served for so long after a request. */
const BUSY_MILLISECONDS = 100

/** Opens a listener. Throws `port_in_use`, `address_unavailable`, `tls_material_invalid`. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const listener = new TlsListener(options)
  await listener.open()
  return listener
}

class TlsListener implements Listener {
  readonly name: string
  readonly #options: ListenerOptions
  readonly #server: Server
  readonly #arrivals: Arrivals
  readonly #connections = new Map<TLSSocket, Connection>()
  /** Connections without a request under way, the one idle for longest first. */
  readonly #idle = new Set<TLSSocket>()
  readonly #paces = new WeakMap<TLSSocket, ConnectionPace>()
  readonly #answers = new WeakMap<TLSSocket, OpenAnswers>()
  readonly #bodies: BodyReader
  /** Connections on which a head was refused: what follows on them is not read as requests. */
  readonly #refusing = new WeakSet<TLSSocket>()
  readonly #drains = new WeakMap<TLSSocket, EpochMillis>()
  readonly #http2 = new Set<Http2Peer>()
  #rules: HeadRules
  #origins: readonly string[]
  #hosts: readonly string[] = []
  #address = { host: '', port: 0 }
  #shows: boolean
  #closing = false
  #handshakes = 0
  /** When the last request came. */
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(options: ListenerOptions) {
    this.name = options.name
    this.#options = options
    this.#shows = options.material !== null
    this.#origins = options.origins ?? []
    this.#rules = this.#rulesFor(options.port)
    this.#bodies = new BodyReader(options.monotonic, options.limits.body)
    this.#server = createServer(serverOptions(options))
    this.#arrivals = this.#attach()
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#address
  }

  get openConnections(): number {
    return this.#connections.size
  }

  get handshakes(): number {
    return this.#handshakes
  }

  async open(): Promise<void> {
    const { host, port, name } = this.#options
    await new Promise<void>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => reject(listenError(error, name, `${host}:${port}`))
      this.#server.once('error', failed)
      this.#server.listen({ host, port, backlog: 511 }, () => {
        this.#server.off('error', failed)
        resolve()
      })
    })
    const looks = setInterval(() => this.#look(), LOOK_MILLISECONDS).unref()
    this.#server.once('close', () => clearInterval(looks))
    this.#server.on('error', (error) => this.#refused('unknown', 'tls_error', String(error)))
    this.#address = { host, port: (this.#server.address() as AddressInfo).port }
    this.#rules = this.#rulesFor(this.#address.port)
  }

  update(material: TlsMaterial): void {
    this.#server.setSecureContext(contextOptions(material, this.#options.cipherSuites))
    this.#shows = true
  }

  acceptOrigins(origins: readonly string[]): void {
    this.#origins = origins
    this.#rules = this.#rulesFor(this.#address.port)
  }

  acceptHosts(hosts: readonly string[]): void {
    this.#hosts = hosts
    this.#rules = this.#rulesFor(this.#address.port)
  }

  closeConnections(which: (connection: Connection) => boolean): number {
    let closed = 0
    for (const [socket, connection] of this.#connections) {
      if (!which(connection)) continue
      socket.destroy()
      closed++
    }
    return closed
  }

  async close(graceMilliseconds: number): Promise<void> {
    this.#closing = true
    for (const peer of this.#http2) peer.close()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    // Connections become idle one by one.
    const idle = setInterval(() => this.#server.closeIdleConnections(), 100)
    const timer = setTimeout(() => {
      this.#arrivals.destroyAll()
    }, graceMilliseconds)
    await closed
    clearInterval(idle)
    clearTimeout(timer)
  }

  #rulesFor(port: number): HeadRules {
    const { authorities, limits } = this.#options
    return {
      authorities: new Set([...authorities, ...this.#hosts].map((one) => one.replace(/:0$/, `:${port}`))),
      origins: new Set(this.#origins),
      maxHeaderLines: limits.headerLines,
    }
  }

  #attach(): Arrivals {
    const server = this.#server
    const [startHandshake] = server.listeners('connection')
    if (startHandshake === undefined)
      throw new TypeError('the TLS server takes connections in another way than expected')
    // The gate stands before the handshake, so that a flood costs a socket and no cryptography.
    server.removeAllListeners('connection')
    const arrivals = this.#arrivalsTo((socket) => void startHandshake.call(server, socket))
    server.on('connection', (socket: Socket) => arrivals.take(socket))
    const [startHttp] = server.listeners('secureConnection')
    server.removeAllListeners('secureConnection')
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#secured(socket)
      if (!this.#takenByHttp2(socket)) void startHttp?.call(server, socket)
    })
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => this.#handshakeFailed(error, socket))
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#requestFailed(error, socket))
    const onRequest = (request: IncomingMessage, response: ServerResponse) => void this.#exchange(request, response)
    server.on('request', onRequest).on('checkContinue', onRequest).on('checkExpectation', onRequest)
    // Without a listener for 'upgrade' such requests are ordinary ones, which header hygiene refuses.
    server.on('connect', (_request, socket: Duplex) => this.#refuseRequest(socket, 405, 'CONNECT'))
    return arrivals
  }

  #arrivalsTo(startHandshake: (socket: Socket) => void): Arrivals {
    const { limits, monotonic, isProxy = () => false } = this.#options
    // Those without a handshake take no place of those with one, who make room among themselves.
    const connections = limits.connections + limits.pendingHandshakes
    return new Arrivals({
      limits: { ...limits, connections },
      headerMilliseconds: limits.handshakeMilliseconds,
      isProxy,
      monotonic,
      busy: () => monotonic() - this.#askedAt < BUSY_MILLISECONDS,
      startHandshake,
      onRefused: (address, reason, detail) => this.#refused(address, reason, detail),
    })
  }

  #secured(socket: TLSSocket): void {
    this.#arrivals.handshakeEnded()
    // The handshake was the proof, and nothing follows it.
    if (socket.alpnProtocol === acmeProtocol) return socket.on('error', () => socket.destroy()).destroySoon()
    this.#handshakes++
    const connection = connectionOf(socket, this.#addressOf(socket), this.#options.name)
    this.#connections.set(socket, connection)
    this.#idle.add(socket)
    this.#paces.set(socket, new ConnectionPace(this.#options.limits.pace))
    const answers = new OpenAnswers()
    this.#answers.set(socket, answers)
    socket.on('error', () => socket.destroy())
    const expiry = this.#endWithCertificates(socket, connection)
    socket.once('close', () => {
      clearTimeout(expiry)
      this.#connections.delete(socket)
      this.#idle.delete(socket)
      answers.abandon()
    })
    if (this.#connections.size > this.#options.limits.connections) this.#shedIdlest()
  }

  /** True for a connection that is not one of requests over HTTP/1.1. */
  #takenByHttp2(socket: TLSSocket): boolean {
    const connection = this.#connections.get(socket)
    if (socket.alpnProtocol !== 'h2' || connection === undefined) return false
    const peer = this.#options.onHttp2?.(socket, connection, this.#callsOf(socket))
    if (peer === undefined) return false
    this.#http2.add(peer)
    const drainsIn = (this.#drains.get(socket) ?? Number.POSITIVE_INFINITY) - this.#options.clock()
    const drain = setTimeout(() => peer.close(), Math.min(Math.max(drainsIn, 0), 2 ** 31 - 1)).unref()
    socket.once('close', () => {
      clearTimeout(drain)
      this.#http2.delete(peer)
    })
    return true
  }

  /** Calls over HTTP/2 are requests like others: a connection with one under way is not idle. */
  #callsOf(socket: TLSSocket): CallBegins {
    let open = 0
    return () => {
      open++
      this.#idle.delete(socket)
      this.#askedAt = this.#options.monotonic()
      return () => {
        if (--open === 0 && this.#connections.has(socket)) this.#idle.add(socket)
      }
    }
  }

  /** Ends what comes too slowly, what is not taken, and what carries nothing. */
  #look(): void {
    this.#bodies.look()
    const now = this.#options.monotonic()
    for (const [socket, { remoteAddress }] of this.#connections) {
      const problem = this.#paces.get(socket)?.look(socket, this.#arrivals.wireBytes(below(socket)), now) ?? null
      if (problem === null) continue
      this.#refused(remoteAddress, problem, '')
      socket.destroy()
    }
  }

  /** Whoever has shown a certificate takes the place of the connection that has been without a request for longest. */
  #shedIdlest(): void {
    const [idlest] = this.#idle
    if (idlest === undefined) return
    this.#refused(this.#addressOf(idlest), 'connection_idle', '')
    idlest.destroy()
  }

  /** A connection ends with the certificates that opened it, ours included (threats F4), and drains before. */
  #endWithCertificates(socket: TLSSocket, { certificate }: Connection): NodeJS.Timeout | undefined {
    const own = socket.getX509Certificate()?.validToDate.getTime()
    const judged = certificate !== null && this.#options.clientCertificate === 'required'
    const ends = [...(judged ? [certificate.notAfter] : []), ...(own === undefined ? [] : [epochSeconds(own / 1000)])]
    const now = this.#options.clock()
    const life = connectionLife(ends, now)
    if (life === null) return undefined
    this.#drains.set(socket, life.drainsAt)
    return setTimeout(() => socket.destroy(), Math.min(Math.max(life.endsAt - now, 0), 2 ** 31 - 1)).unref()
  }

  #mustGo(socket: TLSSocket): boolean {
    return this.#closing || this.#options.clock() >= (this.#drains.get(socket) ?? Number.POSITIVE_INFINITY)
  }

  #handshakeFailed(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    this.#arrivals.handshakeEnded()
    const reason = this.#shows ? handshakeReason(error, socket) : withoutCertificate(error, socket)
    this.#refused(this.#addressOf(socket), reason, handshakeDetail(error, socket))
    socket.destroy()
  }

  #addressOf(socket: TLSSocket): string {
    return this.#arrivals.addressOf(below(socket)) ?? remoteAddressOf(socket.remoteAddress)
  }

  #refused(remoteAddress: string, reason: HandshakeReason, detail: string): void {
    this.#options.onRefusedHandshake({ remoteAddress, reason, detail })
  }

  /** What the HTTP parser refuses never becomes an exchange: it is answered on the socket and closed. */
  #requestFailed(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (!this.#connections.has(socket as TLSSocket)) return
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
    this.#refuseRequest(socket, parserStatus(error.code), error.code ?? error.name)
  }

  #refuseRequest(socket: Duplex, status: number, detail: string): void {
    const reason = status === 431 ? 'header_limit' : status === 408 ? 'body_slow' : 'request_malformed'
    const address = this.#connections.get(socket as TLSSocket)?.remoteAddress
    this.#refused(address ?? this.#addressOf(socket as TLSSocket), reason, detail)
    socket.on('error', () => socket.destroy())
    socket.end(rawAnswer(status, { 'Doorward-Code': reason, ...this.#headers() }), () => socket.destroy())
  }

  #headers(): Readonly<Record<string, string>> {
    const { securityHeaders, time } = this.#options
    return time === undefined ? securityHeaders : { ...securityHeaders, 'Doorward-Time': String(time()) }
  }

  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const socket = request.socket as TLSSocket
    const connection = this.#connections.get(socket)
    if (connection === undefined) return void socket.destroy()
    if (this.#refusing.has(socket)) return
    request.on('error', () => socket.destroy())
    response.on('error', () => socket.destroy())
    this.#idle.delete(socket)
    this.#askedAt = this.#options.monotonic()
    this.#answers.get(socket)?.add(response, () => void (this.#connections.has(socket) && this.#idle.add(socket)))
    for (const [name, value] of Object.entries(this.#headers())) response.setHeader(name, value)
    const { head, problem } = readHead(request, socket.servername, this.#rules)
    if (problem !== null) this.#refusing.add(socket)
    if (problem !== null || this.#mustGo(socket)) response.setHeader('Connection', 'close')
    try {
      await this.#options.onExchange(exchangeOf({ connection, head, problem, request, response }, this.#bodies))
    } catch {
      if (response.headersSent) return void socket.destroy()
      response.writeHead(500, { Connection: 'close', 'Content-Length': '0' }).end()
    }
  }
}

/** Node keeps the TCP socket below a TLS one here. */
function below(socket: TLSSocket): unknown {
  return Reflect.get(socket, '_parent')
}

function serverOptions(options: ListenerOptions): ServerOptions {
  const { limits } = options
  return {
    ...contextOptions(options.material, options.cipherSuites),
    requestCert: options.clientCertificate !== 'none',
    rejectUnauthorized: options.clientCertificate === 'required',
    handshakeTimeout: limits.handshakeMilliseconds,
    ...alpnOptions(options.proofs ?? null, options.cipherSuites, options.onHttp2 !== undefined),
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMilliseconds,
    requestTimeout: limits.requestMilliseconds,
    connectionsCheckingInterval: 1000,
    keepAliveTimeout: limits.idleMilliseconds,
    insecureHTTPParser: false,
    // Ours answers with the configured headers and on the record.
    requireHostHeader: false,
    noDelay: true,
  }
}

const sha256 = (data: Uint8Array): Uint8Array => createHash('sha256').update(data).digest()

function connectionOf(socket: TLSSocket, remoteAddress: string, listener: string): Connection {
  const raw = socket.getPeerX509Certificate()?.raw
  const certificate = raw === undefined ? null : readCertificate(raw, { sha256 })
  return {
    id: ++connectionsSeen,
    remoteAddress,
    listener,
    certificate: certificate === null || 'problem' in certificate ? null : certificate,
    resumed: socket.isSessionReused(),
    standing: new CertificateStanding(),
  }
}
