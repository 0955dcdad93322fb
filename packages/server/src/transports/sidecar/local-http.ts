/** HTTP/1.1 for programs of this machine, over connections that somebody else has accepted. Everything is bounded. */

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { joinBytes } from '@doorward/core'
import { denialRow } from '@doorward/enforcement'
import type { DenialCode } from '@doorward/enforcement'

export const localHttpLimits = {
  headerBytes: 16_384,
  headerLines: 64,
  /** From the connection to the end of the first head. */
  headMilliseconds: 5000,
  /** From the end of an answer to the end of the next head. */
  idleMilliseconds: 60_000,
  bodyMilliseconds: 30_000,
} as const

export interface LocalRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export type LocalListener = (asked: LocalRequest) => Promise<void>

/** A refusal of the sidecar itself, in the form that gateways have. */
export interface LocalRefusal {
  readonly code: DenialCode
  /** What the failure is called where it happened. */
  readonly cause?: string
}

/** Serves what is handed to it. Requests whose listener rejects are answered as `internal`. */
export class LocalHttp {
  readonly #server: Server
  readonly #open = new Set<Socket>()
  readonly #waiting = new WeakMap<Socket, NodeJS.Timeout>()
  /** Requests under way on a connection: more than one where they were sent without waiting. */
  readonly #answering = new WeakMap<Socket, number>()
  #closing = false

  constructor(listener: LocalListener, onProblem: (error: unknown) => void) {
    const { headerBytes: maxHeaderSize, headerLines } = localHttpLimits
    this.#server = createServer({ maxHeaderSize, insecureHTTPParser: false, requireHostHeader: true })
    // Node leaves out what is more, without a word: one more is enough to notice.
    this.#server.maxHeadersCount = headerLines + 1
    this.#server.keepAliveTimeout = localHttpLimits.idleMilliseconds
    this.#server.on('request', (request, response) => {
      const { socket } = request
      clearTimeout(this.#waiting.get(socket))
      this.#answering.set(socket, this.#under(socket) + 1)
      response.once('close', () => this.#answered(socket))
      listener({ request, response }).catch((error: unknown) => {
        onProblem(error)
        refuseLocal(response, { code: 'internal' })
      })
    })
  }

  #under(socket: Socket): number {
    return this.#answering.get(socket) ?? 0
  }

  #answered(socket: Socket): void {
    this.#answering.set(socket, this.#under(socket) - 1)
    if (this.#under(socket) > 0) return
    if (this.#closing) socket.end()
    else this.#wait(socket, localHttpLimits.idleMilliseconds)
  }

  serve(socket: Socket): void {
    // It was looked at while the others were closed.
    if (this.#closing) return void socket.destroy()
    this.#open.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      this.#open.delete(socket)
      clearTimeout(this.#waiting.get(socket))
    })
    this.#wait(socket, localHttpLimits.headMilliseconds)
    this.#server.emit('connection', socket)
  }

  #wait(socket: Socket, milliseconds: number): void {
    clearTimeout(this.#waiting.get(socket))
    if (socket.destroyed) return
    this.#waiting.set(socket, setTimeout(() => socket.destroy(), milliseconds).unref())
  }

  /** What is under way may end for that long. The connections close; whoever accepts them has stopped to. */
  close(graceMilliseconds: number): void {
    this.#closing = true
    for (const socket of this.#open) if (this.#under(socket) === 0) socket.destroy()
    const end = () => {
      for (const socket of this.#open) socket.destroy()
    }
    setTimeout(end, graceMilliseconds).unref()
  }
}

/** False when it has more than may be, and some may have been left out. */
export function hasAllHeaders({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): boolean {
  return rawHeaders.length <= 2 * localHttpLimits.headerLines
}

/** An answer that has begun is broken off, so that nobody takes it for whole. */
export function refuseLocal(response: ServerResponse, refusal: LocalRefusal): void {
  if (response.headersSent) return void response.destroy()
  const { status, headers, body } = refusalParts(refusal)
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' })
  response.end(body)
}

const LAST_WORDS_MILLISECONDS = 1000

/** The same for a connection of which nothing has been read, nor will be. */
export function refuseConnection(socket: Socket, refusal: LocalRefusal): void {
  const { status, headers, body } = refusalParts(refusal)
  const lines = Object.entries({ ...headers, 'content-length': `${Buffer.byteLength(body)}`, connection: 'close' })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.on('error', () => socket.destroy())
  // What waits unread when a connection closes takes the answer with it.
  socket.resume()
  socket.end(`HTTP/1.1 ${status} Refused\r\n${head}\r\n${body}`)
  const timer = setTimeout(() => socket.destroy(), LAST_WORDS_MILLISECONDS).unref()
  socket.once('close', () => clearTimeout(timer))
}

function refusalParts({ code, cause }: LocalRefusal) {
  const { http, text } = denialRow(code)
  const body = JSON.stringify({ error: { code, message: text, ...(cause === undefined ? {} : { cause }) } })
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store', 'doorward-code': code }
  return { status: http, headers, body }
}

/** The whole body, or why it is refused. */
export function readLocalBody(request: IncomingMessage, limitBytes: number): Promise<Uint8Array | DenialCode> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) return Promise.resolve('body_too_large')
  const { promise, resolve } = Promise.withResolvers<Uint8Array | DenialCode>()
  const parts: Uint8Array[] = []
  let length = 0
  const slow = setTimeout(() => resolve('body_slow'), localHttpLimits.bodyMilliseconds).unref()
  request.on('data', (part: Uint8Array) => {
    length += part.length
    if (length > limitBytes) return resolve('body_too_large')
    parts.push(part)
  })
  request.once('end', () => resolve(joinBytes(parts)))
  request.once('close', () => resolve('body_aborted'))
  request.once('error', () => resolve('body_aborted'))
  return promise.finally(() => clearTimeout(slow))
}
