/** One HTTP request and its answer, after header hygiene. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { deny } from '@doorward/enforcement'
import type { Connection, Denial, RequestHead } from '@doorward/enforcement'

export interface Exchange {
  readonly connection: Connection
  readonly head: RequestHead
  /** What header hygiene found; the request must then be refused with it. The connection closes afterwards. */
  readonly problem: Denial | null
  readonly request: IncomingMessage
  /** Carries the configured security headers already. */
  readonly response: ServerResponse
  /** The complete body, once. Denials: `body_too_large`, `body_aborted`. */
  readBody(limitBytes: number): Promise<Uint8Array | Denial>
  /** TLS exporter (RFC 8446 §7.5, RFC 9266 style labels): 32 bytes, empty context. */
  exportKeyingMaterial(label: string): Uint8Array
}

export interface ExchangeParts {
  readonly connection: Connection
  readonly head: RequestHead
  readonly problem: Denial | null
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

const EXPORT_BYTES = 32

export function exchangeOf(parts: ExchangeParts): Exchange {
  return {
    ...parts,
    readBody: (limitBytes) => readBody(parts.request, parts.head, limitBytes),
    exportKeyingMaterial(label) {
      const socket = parts.request.socket as TLSSocket
      return new Uint8Array(socket.exportKeyingMaterial(EXPORT_BYTES, label, Buffer.alloc(0)))
    },
  }
}

function readBody(request: IncomingMessage, head: RequestHead, limitBytes: number): Promise<Uint8Array | Denial> {
  const length = head.headers['content-length']
  const tooLarge = () => deny('body_too_large', `at most ${limitBytes} bytes are accepted`)
  if (length !== undefined && Number(length) > limitBytes) return Promise.resolve(tooLarge())
  // Whoever went away while the token was judged has sent its last event already.
  if (request.destroyed) return Promise.resolve(deny('body_aborted', 'the connection ended before the body was read'))
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (result: Uint8Array | Denial) => {
      request.off('data', onData).off('end', onEnd).off('close', onAborted).off('error', onAborted)
      resolve(result)
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
      if (size <= limitBytes) return
      request.pause()
      settle(tooLarge())
    }
    const onEnd = () => settle(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size))
    const onAborted = () => settle(deny('body_aborted', `the connection ended after ${size} bytes of the body`))
    request.on('data', onData).on('end', onEnd).on('close', onAborted).on('error', onAborted)
  })
}

/** The connection must not be used again: what follows the answer on it may be part of a body nobody read. */
export function closeAfterAnswer(exchange: Exchange): void {
  if (!exchange.response.headersSent) exchange.response.setHeader('Connection', 'close')
}

const ONE_WRITE_BYTES = 8192

/** Sends a complete answer. Does nothing when the caller has gone or an answer has begun. */
export function send(
  exchange: Exchange,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | string = '',
): void {
  const { request, response } = exchange
  if (response.headersSent || response.destroyed) return
  if (!request.complete) closeAfterAnswer(exchange)
  response.writeHead(status, { ...headers, 'Content-Length': String(Buffer.byteLength(body)) })
  if (typeof body === 'string' || body.length > ONE_WRITE_BYTES) return void response.end(body)
  // As text the body leaves with the head in one write and one TLS record.
  response.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'), 'latin1')
}

/** Sends a JSON answer. */
export function sendJson(
  exchange: Exchange,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(
    exchange,
    status,
    { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers },
    JSON.stringify(value),
  )
}
