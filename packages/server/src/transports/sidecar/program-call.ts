/** One request to the program behind a sidecar, over a connection that somebody else has made and looked at. */

import { request as send } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { DenialCode } from '@doorward/enforcement'
import { headersOfProgram, requestHeaders } from './passing-headers.ts'
import { relay } from './relay.ts'
import type { RelayEnd, RelayLimits } from './relay.ts'

export interface ProgramRequest {
  readonly method: string
  /** Path and query, as they were judged. */
  readonly target: string
  /** As they came; those that do not pass are left out here. */
  readonly headers: IncomingHttpHeaders
  /** What the program is told by the sidecar alone. */
  readonly own: OutgoingHttpHeaders
  readonly body: Uint8Array
}

export interface ProgramFailure {
  readonly code: DenialCode
  readonly reason: string
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE'])
const HEADER_BYTES = 16_384

/** Sends it and gives the answer on. Null when all of it was; what of it has been given on when it fails is for the caller to break off. */
export async function callProgram(
  socket: Socket,
  what: ProgramRequest,
  response: ServerResponse,
  options: { readonly limits: RelayLimits; readonly signal: AbortSignal },
): Promise<ProgramFailure | null> {
  const { limits, signal } = options
  try {
    const answer = await head(socket, what, { milliseconds: limits.answerMilliseconds, signal })
    if ('reason' in answer) return answer
    const status = answer.statusCode ?? 0
    if (status < 200 || status > 599) return invalid(`a status of ${status}`)
    const announced = Number(answer.headers['content-length'] ?? 0)
    if (announced > limits.bytes && what.method !== 'HEAD') return failureOf('large', limits)
    response.writeHead(status, {
      ...headersOfProgram(answer.headers),
      ...(answer.headers['content-length'] === undefined ? {} : { 'content-length': announced }),
    })
    response.flushHeaders()
    const end = await relay(answer, response, limits)
    if (end !== 'whole') return failureOf(end, limits)
    response.end()
    return null
  } catch (error) {
    return errorOf(error)
  } finally {
    socket.destroy()
  }
}

function head(
  socket: Socket,
  { method, target, headers, own, body }: ProgramRequest,
  { milliseconds, signal }: { readonly milliseconds: number; readonly signal: AbortSignal },
): Promise<IncomingMessage | ProgramFailure> {
  return new Promise((resolve, reject) => {
    const length = body.length === 0 && BODILESS.has(method) ? {} : { 'content-length': body.length }
    const outgoing = send({
      createConnection: () => socket,
      method,
      path: target,
      headers: {
        ...requestHeaders(headers),
        host: headers['host'] ?? 'localhost',
        ...own,
        ...length,
        connection: 'close',
      },
      setHost: false,
      maxHeaderSize: HEADER_BYTES,
      signal,
    })
    const timer = setTimeout(() => {
      resolve({ code: 'upstream_timeout', reason: `no answer of the program within ${milliseconds} ms` })
      outgoing.destroy()
    }, milliseconds).unref()
    outgoing.once('response', (answer) => {
      clearTimeout(timer)
      // What breaks later is for the reader of the body.
      outgoing.on('error', () => undefined)
      answer.on('error', () => undefined)
      resolve(answer)
    })
    outgoing.once('upgrade', () => {
      resolve(invalid('another protocol, which nobody asked for'))
      outgoing.destroy()
    })
    outgoing.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    outgoing.end(body)
  })
}

function invalid(reason: string): ProgramFailure {
  return { code: 'upstream_invalid', reason }
}

function failureOf(end: Exclude<RelayEnd, 'whole'>, { bytes }: RelayLimits): ProgramFailure {
  switch (end) {
    case 'large':
      return invalid(`the answer of the program is larger than ${bytes} bytes`)
    case 'late':
      return { code: 'upstream_timeout', reason: 'the program did not end its answer in time' }
    case 'broken':
      return invalid('the answer of the program broke off')
    case 'unread':
      return invalid('nobody waits for the answer any more')
  }
}

/** Of the parser, or of the connection. */
function errorOf(error: unknown): ProgramFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return code.startsWith('HPE_') || code.startsWith('ERR_')
    ? invalid(`the program answered something other than HTTP: ${code}`)
    : { code: 'upstream_unavailable', reason: `the connection to the program failed: ${code}` }
}
