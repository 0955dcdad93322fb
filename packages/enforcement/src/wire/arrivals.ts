/**
 * TCP connections before their handshake: whom they are from, whether they may go on, and when it is their turn. What is
 * refused here costs a socket and no cryptography.
 */

import { Socket } from 'node:net'
import { ConnectionGate } from './connection-gate.ts'
import type { GateLimits, GateRefusal } from './connection-gate.ts'
import { HandshakeQueue } from './handshake-queue.ts'
import { PROXY_HEADER_BYTES, readProxyHeader } from './proxy-header.ts'
import { remoteAddressOf } from './remote-address.ts'

export interface ArrivalOptions {
  readonly limits: GateLimits
  /** Until a proxy's header is there; milliseconds. */
  readonly headerMilliseconds: number
  /** Addresses of proxies: they, and nobody else, say whom a connection is from, and must. */
  readonly isProxy: (address: string) => boolean
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** Whether callers are being served. */
  readonly busy: () => boolean
  readonly startHandshake: (socket: Socket) => void
  readonly onRefused: (address: string, reason: GateRefusal | 'proxy_header', detail: string) => void
}

export class Arrivals {
  readonly #options: ArrivalOptions
  readonly #gate: ConnectionGate
  readonly #queue: HandshakeQueue<Socket>
  readonly #sockets = new Set<Socket>()
  /** Whom a TCP connection is from: the socket forgets it when it closes, and a proxied one never knew. */
  readonly #addresses = new WeakMap<object, string>()
  /** Connections of proxies that have not said whom they are from. */
  #unknown = 0

  constructor(options: ArrivalOptions) {
    this.#options = options
    this.#gate = new ConnectionGate(options.limits)
    this.#queue = new HandshakeQueue((socket) => this.#begin(socket), options)
  }

  take(socket: Socket): void {
    socket.on('error', () => socket.destroy())
    const address = remoteAddressOf(socket.remoteAddress)
    if (this.#options.isProxy(address)) this.#awaitHeader(socket, address)
    else this.#admit(socket, address)
  }

  /** Whom the connection below a TLS socket is from. */
  addressOf(below: unknown): string | undefined {
    return typeof below === 'object' && below !== null ? this.#addresses.get(below) : undefined
  }

  /** What has come over the connection below a TLS socket, records and all. */
  wireBytes(below: unknown): number {
    return below instanceof Socket ? below.bytesRead : 0
  }

  /** To be called once for each handshake that was started, however it ends. */
  handshakeEnded(): void {
    this.#gate.handshakeEnded()
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #admit(socket: Socket, address: string): void {
    const refusal = this.#gate.admit(address, this.#options.monotonic())
    if (refusal !== null) return this.#refuse(socket, address, refusal)
    socket.setNoDelay(true)
    this.#sockets.add(socket)
    this.#addresses.set(socket, address)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#gate.closed(address)
    })
    this.#queue.add(socket)
  }

  /** Whoever has gone while it waited gives its place back. */
  #begin(socket: Socket): void {
    if (socket.destroyed) this.#gate.handshakeEnded()
    else this.#options.startHandshake(socket)
  }

  #refuse(socket: Socket, address: string, reason: GateRefusal | 'proxy_header', detail = ''): void {
    socket.destroy()
    this.#options.onRefused(address, reason, detail)
  }

  #awaitHeader(socket: Socket, proxy: string): void {
    const { limits, headerMilliseconds } = this.#options
    if (this.#unknown >= limits.pendingHandshakes) return this.#refuse(socket, proxy, 'handshake_limit')
    this.#unknown++
    this.#sockets.add(socket)
    let bytes: Buffer = Buffer.alloc(0)
    const settle = () => {
      clearTimeout(timer)
      socket.off('readable', onReadable).off('close', onClose)
      this.#sockets.delete(socket)
      this.#unknown--
    }
    const fail = (detail: string) => {
      settle()
      this.#refuse(socket, proxy, 'proxy_header', detail)
    }
    const onReadable = () => {
      const chunk: unknown = socket.read()
      if (!(chunk instanceof Buffer)) return
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes.subarray(0, PROXY_HEADER_BYTES))
      if (header.kind === 'incomplete') return
      if (header.kind === 'problem') return fail(header.problem)
      settle()
      if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
      this.#admit(socket, header.address ?? proxy)
    }
    const onClose = () => fail('the connection ended before its PROXY header')
    const timer = setTimeout(() => fail('no PROXY header in time'), headerMilliseconds)
    socket.on('readable', onReadable).on('close', onClose)
  }
}
