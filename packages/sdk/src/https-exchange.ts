/** One HTTP/1.1 request over an agent, and its response as a stream. Knows neither tokens nor identities. */

import { request } from 'node:https'
import type { Agent } from 'node:https'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { joinBytes, DoorwardError, fromUtf8, isJsonObject, scanJson, utf8 } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { connectionError } from './connection-error.ts'

/** Keying material of this connection (RFC 8446 §7.5): 32 bytes, empty context. */
export type KeyExporter = (label: string) => Uint8Array

/** Bytes, a stream, or bytes that depend on the connection they are sent over. */
export type RequestBody = Uint8Array | string | Readable | ((exporter: KeyExporter) => Promise<Uint8Array>)

export interface ExchangeRequest {
  readonly method: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: RequestBody
  readonly signal?: AbortSignal
}

export interface CallResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Alternating names and values as received. */
  readonly rawHeaders: readonly string[]
  /** Must be read or destroyed. */
  readonly body: IncomingMessage
}

/** How long an authority may take for an answer that needs no stream. */
export const answerMilliseconds = 20_000

/** The signal, if there is one, and the time that an answer may take. */
export function withinAnswerTime(signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(answerMilliseconds)
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout])
}

/** Resolves with the response head. Throws the codes of `connectMutualTls` and `connectionError`. */
export function exchange(agent: Agent, url: URL, what: ExchangeRequest): Promise<CallResponse> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      agent,
      method: what.method,
      headers: what.headers ?? {},
      ...(what.signal === undefined ? {} : { signal: what.signal }),
    })
    const fail = (error: unknown) => reject(connectionError(error, url.host))
    outgoing.once('response', (body) => {
      // A body that is only drained, or not read yet, has nobody else to hear that it broke; readers still do.
      body.on('error', () => undefined)
      resolve({ status: body.statusCode ?? 0, headers: body.headers, rawHeaders: body.rawHeaders, body })
    })
    outgoing.once('error', fail)
    // Errors after the response has begun reach the reader of the body; the request has nobody left to tell.
    outgoing.on('error', () => undefined)
    send(outgoing, what.body, (error) => {
      fail(error)
      outgoing.destroy()
    })
  })
}

function send(outgoing: ClientRequest, body: RequestBody | undefined, fail: (error: unknown) => void): void {
  if (body === undefined) outgoing.end()
  else if (typeof body === 'string' || body instanceof Uint8Array)
    endWith(outgoing, typeof body === 'string' ? utf8(body) : body)
  else if (typeof body === 'function') sendBound(outgoing, body, fail)
  else pipeline(body, outgoing, (error) => error !== null && error !== undefined && fail(error))
}

function endWith(outgoing: ClientRequest, bytes: Uint8Array): void {
  if (!outgoing.headersSent) outgoing.setHeader('content-length', bytes.length)
  outgoing.end(bytes)
}

function sendBound(
  outgoing: ClientRequest,
  body: (exporter: KeyExporter) => Promise<Uint8Array>,
  fail: (error: unknown) => void,
): void {
  outgoing.once('socket', (socket) => {
    const tls = socket as TLSSocket
    body((label) => exportKey(tls, label)).then((bytes) => endWith(outgoing, bytes), fail)
  })
}

/** The exporter secret of a TLS connection. */
export function exportKey(socket: TLSSocket, label: string): Uint8Array {
  return new Uint8Array(socket.exportKeyingMaterial(32, label, Buffer.alloc(0)))
}

/** The whole body. Throws `response_too_large`, or `connection_lost` when it ends early. */
export async function readBody(response: CallResponse, limitBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  try {
    for await (const part of response.body as AsyncIterable<Uint8Array>) {
      length += part.length
      if (length > limitBytes)
        throw new DoorwardError('response_too_large', `the response is larger than ${limitBytes} bytes`)
      parts.push(part)
    }
  } catch (error) {
    throw connectionError(error, 'response body')
  }
  return joinBytes(parts)
}

/** The body as one JSON object. Throws `response_invalid`. */
export async function readJsonBody(response: CallResponse, limitBytes: number, maxDepth = 8): Promise<JsonObject> {
  const scan = scanJson(await readBody(response, limitBytes), { maxBytes: limitBytes, maxDepth, maxKeys: 500_000 })
  if (scan.ok && isJsonObject(scan.value)) return scan.value
  throw new DoorwardError('response_invalid', 'the server answered with something other than a JSON object', {
    got: scan.ok ? 'another kind of JSON' : scan.code,
  })
}

/** A short text of the body for messages, or null when it is not plain text worth showing. */
export async function readShortText(response: CallResponse): Promise<string | null> {
  try {
    return fromUtf8(await readBody(response, 16_384))
  } catch {
    response.body.destroy()
    return null
  }
}
