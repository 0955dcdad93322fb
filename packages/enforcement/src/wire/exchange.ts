/** One HTTP request and its answer, after header hygiene. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Denial } from '../denial.ts'
import type { Connection, RequestHead } from '../inbound.ts'
import type { BodyReader } from './body-reader.ts'

export interface Exchange {
  readonly connection: Connection
  readonly head: RequestHead
  /** What header hygiene found; the request must then be refused with it. The connection closes afterwards. */
  readonly problem: Denial | null
  readonly request: IncomingMessage
  /** Carries the configured security headers already. */
  readonly response: ServerResponse
  /** The complete body, once. Denials: `body_too_large`, `body_aborted`, `body_slow`, `request_malformed`. */
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

export function exchangeOf(parts: ExchangeParts, bodies: BodyReader): Exchange {
  return {
    ...parts,
    readBody: (limitBytes) => bodies.read(parts.request, parts.head.headers['content-length'], limitBytes),
    exportKeyingMaterial(label) {
      const socket = parts.request.socket as TLSSocket
      return new Uint8Array(socket.exportKeyingMaterial(EXPORT_BYTES, label, Buffer.alloc(0)))
    },
  }
}

/** The connection must not be used again: what follows the answer on it may be part of a body nobody read. */
export function closeAfterAnswer(exchange: Exchange): void {
  if (!exchange.response.headersSent) exchange.response.setHeader('Connection', 'close')
}

/** When what was written has gone to the caller, or never will. */
export function drainedOf({ response }: Exchange): Promise<void> {
  if (!response.writableNeedDrain) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}

/** With a part more it is less than 64 KiB, and what waits longer closes the connection (`reader_slow`). */
export const mostWaiting = 32 * 1024

/** Writes a part of an answer; resolves when little enough waits for the caller, or nobody will have it. */
export function writePart({ response }: Exchange, part: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('close', done)
      resolve()
    }
    response.write(part, done)
    if (response.writableLength > mostWaiting && !response.destroyed) response.on('close', done)
    else resolve()
  })
}

const ONE_WRITE_BYTES = 8192

/** Calls the listener once, when the caller waits for no answer any more, or has got one. */
export function whenGone({ request, response }: Exchange, listener: () => void): void {
  if (response.destroyed || request.socket.destroyed) queueMicrotask(listener)
  else response.once('close', listener)
}

/** A list stands for as many lines. */
export type AnswerHeaders = Readonly<Record<string, string | readonly string[]>>

/** Sends a complete answer. Does nothing when the caller has gone or an answer has begun. */
export function send(exchange: Exchange, status: number, headers: AnswerHeaders, body: Uint8Array | string = ''): void {
  const { request, response } = exchange
  if (response.headersSent || response.destroyed) return
  if (!request.complete) closeAfterAnswer(exchange)
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.writeHead(status, { 'Content-Length': String(Buffer.byteLength(body)) })
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
