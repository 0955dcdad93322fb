/** One request to the program behind a sidecar, over a connection that somebody else has made and looked at. */

import { request as send } from 'node:http'
import type { Agent, IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
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

/** A connection that this call alone uses. */
export interface ProgramConnection {
  readonly socket: Socket
  /** Gives requests the connection. */
  readonly agent: Agent
  /** Whether there was a call before on it. */
  readonly isReused: boolean
  /** After an answer that was whole, with the bytes of its body if it told them: may be used again. Otherwise it has to be destroyed. */
  release(bodyBytes: number | null): void
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE'])
const HEADER_BYTES = 16_384

/**
 * Sends it and gives the answer on. Null when all of it was; what of it has been given on when it fails is for the caller to break off.
 * Throws what `connect` does.
 */
export async function callProgram(
  connect: () => Promise<ProgramConnection>,
  what: ProgramRequest,
  response: ServerResponse,
  limits: RelayLimits,
): Promise<ProgramFailure | null> {
  const connection = await connect()
  try {
    return await called(connection, what, response, limits)
  } catch (error) {
    // The program has closed a connection that was kept, and nothing was taken of this call: it is made on a new one.
    if (!connection.isReused || !wasNotTaken(error, what)) return errorOf(error)
  }
  return callProgram(connect, what, response, limits)
}

/** The kernel refuses to write where nobody can read any more. A head alone it takes as a whole or not at all. */
function wasNotTaken(error: unknown, { body }: ProgramRequest): boolean {
  return body.length === 0 && error instanceof Error && 'code' in error && error.code === 'EPIPE'
}

async function called(
  connection: ProgramConnection,
  what: ProgramRequest,
  response: ServerResponse,
  limits: RelayLimits,
): Promise<ProgramFailure | null> {
  let kept: { readonly bodyBytes: number | null } | null = null
  const gone = () => connection.socket.destroy()
  response.once('close', gone)
  try {
    // Whoever went, or was denied, while a connection was looked for makes no call: its end is told once, and was.
    if (response.destroyed) return failureOf('unread', limits)
    const answer = await head(connection, what, limits.answerMilliseconds)
    if ('code' in answer) return answer
    const { source, isEarly } = answer
    const status = source.statusCode ?? 0
    if (status < 200 || status > 599) return invalid(`a status of ${status}`)
    const { 'content-length': length } = source.headers
    const announced = Number(length ?? 0)
    if (announced > limits.bytes && what.method !== 'HEAD') return failureOf('large', limits)
    const told = length === undefined ? {} : { 'content-length': announced }
    const end = await relay(
      source,
      response,
      { status, headers: { ...headersOfProgram(source.headers), ...told } },
      limits,
    )
    if (end !== 'whole') return failureOf(end, limits)
    if (!isEarly && hasBody(what.method, status)) kept = { bodyBytes: length === undefined ? null : announced }
    return null
  } finally {
    response.off('close', gone)
    if (kept === null) connection.socket.destroy()
    else connection.release(kept.bodyBytes)
  }
}

/** What some programs send after an answer that has none would be taken for the next answer. */
function hasBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 304
}

interface Answer {
  readonly source: IncomingMessage
  /** It came before the request was sent: what is left of that would be the beginning of the next one. */
  readonly isEarly: boolean
}

function head(
  { agent, socket }: ProgramConnection,
  { method, target, headers, own, body }: ProgramRequest,
  milliseconds: number,
): Promise<Answer | ProgramFailure> {
  return new Promise((resolve, reject) => {
    const length = body.length === 0 && BODILESS.has(method) ? {} : { 'content-length': body.length }
    const outgoing = send({
      agent,
      method,
      path: target,
      headers: {
        ...requestHeaders(headers),
        host: headers['host'] ?? 'localhost',
        ...own,
        ...length,
      },
      setHost: false,
      maxHeaderSize: HEADER_BYTES,
    })
    const timer = setTimeout(() => {
      resolve({ code: 'upstream_timeout', reason: `no answer of the program within ${milliseconds} ms` })
      socket.destroy()
    }, milliseconds).unref()
    outgoing.once('response', (source) => {
      clearTimeout(timer)
      // What breaks later is for the reader of the body.
      outgoing.on('error', () => undefined)
      source.on('error', () => undefined)
      resolve({ source, isEarly: !outgoing.writableFinished })
    })
    outgoing.once('upgrade', () => {
      resolve(invalid('another protocol, which nobody asked for'))
      socket.destroy()
    })
    outgoing.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    // An empty part would be a second one to write.
    if (body.length === 0) outgoing.end()
    else outgoing.end(body)
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
