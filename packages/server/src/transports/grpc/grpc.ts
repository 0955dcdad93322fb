/**
 * gRPC over one connection (gRPC over HTTP/2; no compression, no protocol beside it): one request message, then one answer or
 * a stream of them, then a status. Everything is bounded; what is not gRPC gets HTTP's own refusal.
 */

import { once } from 'node:events'
import { constants, performServerHandshake } from 'node:http2'
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { concat } from '@doorward/core'

export const grpcStatus = {
  ok: 0,
  invalidArgument: 3,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const

export interface GrpcEnd {
  readonly status: (typeof grpcStatus)[keyof typeof grpcStatus]
  /** One line of printable ASCII. */
  readonly message: string
}

/** What a call gives: messages, then how it ends. */
export type GrpcAnswer = AsyncGenerator<Uint8Array, GrpcEnd>

export interface GrpcCalls {
  /** Judges the metadata of a call before its message is read; null to go on. */
  readonly admit: (headers: IncomingHttpHeaders) => GrpcEnd | null
  /** By path, `/Service/Method`. */
  readonly methods: ReadonlyMap<string, (request: Uint8Array, signal: AbortSignal) => GrpcAnswer>
  readonly onProblem: (error: unknown) => void
  /** Told when a stream begins; what it gives is told when that has ended. Nobody is told by default. */
  readonly onCall?: () => () => void
  /** `grpcLimits` by default. */
  readonly limits?: GrpcLimits
}

export interface GrpcLimits {
  /** Of one request message. */
  readonly messageBytes: number
  /** Calls at once on one connection. */
  readonly calls: number
  readonly headerBytes: number
  /** From the connection to the first call, and from the headers of a call to the end of its message. */
  readonly requestMilliseconds: number
  /** Without a call, since the last one has ended. */
  readonly idleMilliseconds: number
}

/** Of programs of this machine. */
export const grpcLimits: GrpcLimits = {
  messageBytes: 16_384,
  calls: 32,
  headerBytes: 8192,
  requestMilliseconds: 5000,
  idleMilliseconds: 60_000,
}

const FRAME_HEAD = 5

/** Serves calls on the connection until the signal aborts or it closes. */
export function serveGrpc(socket: Socket, service: GrpcCalls, signal: AbortSignal): ServerHttp2Session {
  const limits = service.limits ?? grpcLimits
  const session = performServerHandshake(socket, {
    settings: { enablePush: false, maxConcurrentStreams: limits.calls, maxHeaderListSize: limits.headerBytes },
    maxSessionMemory: 2,
    maxHeaderListPairs: 64,
  })
  const place = keptPlace(socket, session, limits)
  session.on('error', () => socket.destroy())
  session.on('stream', (stream, headers) => {
    place.begin(stream)
    const callEnded = service.onCall?.()
    void serveStream(stream, headers, { service, signal })
      .catch((error: unknown) => {
        stream.destroy()
        service.onProblem(error)
      })
      .finally(() => {
        // What is answered is done: a caller that leaves no room for the answer keeps no place by it.
        callEnded?.()
        endInTime(stream, limits.requestMilliseconds)
      })
  })
  return session
}

/** An answer waits so long for whoever takes it: without room for it (RFC 9113 §6.9) its stream would never end. */
function endInTime(stream: ServerHttp2Stream, milliseconds: number): void {
  if (stream.destroyed) return
  const timer = setTimeout(() => stream.destroy(), milliseconds).unref()
  stream.once('close', () => clearTimeout(timer))
}

/** Whoever says nothing, something else or nothing more leaves his place to others. An open stream keeps it. */
function keptPlace(
  socket: Socket,
  session: ServerHttp2Session,
  limits: GrpcLimits,
): { begin(stream: ServerHttp2Stream): void } {
  let open = 0
  let timer = setTimeout(() => socket.destroy(), limits.requestMilliseconds)
  // A client that is told so connects again for its next call.
  const leave = () => {
    session.close()
    timer = setTimeout(() => socket.destroy(), limits.requestMilliseconds)
  }
  const ended = () => {
    if (--open === 0 && !session.closed && !session.destroyed) timer = setTimeout(leave, limits.idleMilliseconds)
  }
  session.once('close', () => {
    clearTimeout(timer)
    socket.destroy()
  })
  return {
    begin: (stream) => {
      clearTimeout(timer)
      open++
      stream.once('close', ended)
    },
  }
}

interface Serving {
  readonly service: GrpcCalls
  readonly signal: AbortSignal
}

async function serveStream(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { service, signal }: Serving,
): Promise<void> {
  const over = new AbortController()
  stream.on('error', () => over.abort())
  stream.once('close', () => over.abort())
  if (headers[':method'] !== 'POST') return refuseHttp(stream, 405)
  if (!/^application\/grpc(?:\+proto)?$/.test(headers['content-type'] ?? '')) return refuseHttp(stream, 415)
  const method = service.methods.get(headers[':path'] ?? '')
  const refused =
    service.admit(headers) ??
    (method === undefined ? { status: grpcStatus.unimplemented, message: 'no such method here' } : null)
  if (refused !== null || method === undefined) return endAtOnce(stream, refused)
  const request = await readMessage(stream, service.limits ?? grpcLimits)
  if ('status' in request) return endAtOnce(stream, request)
  await answer(stream, method(request, AbortSignal.any([signal, over.signal])), over.signal)
}

function refuseHttp(stream: ServerHttp2Stream, status: number): void {
  if (stream.destroyed) return
  stream.respond({ ':status': status }, { endStream: true })
  readNoFurther(stream)
}

/** A request that is answered before its end may never end by itself, and would keep its place (RFC 9113 §8.1). */
function readNoFurther(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return
  stream.close(constants.NGHTTP2_NO_ERROR)
  stream.resume()
}

/** A status without a message before it is told in the head. */
function endAtOnce(stream: ServerHttp2Stream, end: GrpcEnd | null): void {
  if (stream.destroyed || stream.headersSent || end === null) return
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailersOf(end) }, { endStream: true })
  readNoFurther(stream)
}

function trailersOf({ status, message }: GrpcEnd): Readonly<Record<string, string>> {
  const text = message.replaceAll(/[^\x20-\x24\x26-\x7e]/g, (char) => encodeURIComponent(char))
  return { 'grpc-status': String(status), ...(text === '' ? {} : { 'grpc-message': text }) }
}

/** Exactly one message without compression. */
async function readMessage(stream: ServerHttp2Stream, limits: GrpcLimits): Promise<Uint8Array | GrpcEnd> {
  const timer = setTimeout(() => stream.close(), limits.requestMilliseconds)
  const parts: Uint8Array[] = []
  let length = 0
  try {
    // Whoever sends too much still hears so.
    for await (const part of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      length += part.length
      if (length > FRAME_HEAD + limits.messageBytes)
        return { status: grpcStatus.resourceExhausted, message: `at most ${limits.messageBytes} bytes` }
      parts.push(part)
    }
  } finally {
    clearTimeout(timer)
  }
  const frame = concat(...parts)
  if (frame[0] === 1) return { status: grpcStatus.unimplemented, message: 'compression is not supported' }
  const whole = frame.length >= FRAME_HEAD && frame[0] === 0
  const announced = whole ? new DataView(frame.buffer).getUint32(1) : -1
  if (announced === frame.length - FRAME_HEAD) return frame.subarray(FRAME_HEAD)
  return { status: grpcStatus.invalidArgument, message: 'expected exactly one message' }
}

async function answer(stream: ServerHttp2Stream, messages: GrpcAnswer, gone: AbortSignal): Promise<void> {
  const ended = async (): Promise<GrpcEnd> => {
    for (;;) {
      const next = await messages.next()
      if (next.done === true) return next.value
      if (gone.aborted) return { status: grpcStatus.ok, message: '' }
      await send(stream, next.value, gone)
    }
  }
  const end = await ended()
  if (gone.aborted || stream.destroyed) return
  if (!stream.headersSent) return endAtOnce(stream, end)
  stream.once('wantTrailers', () => stream.sendTrailers(trailersOf(end)))
  stream.end()
}

async function send(stream: ServerHttp2Stream, message: Uint8Array, gone: AbortSignal): Promise<void> {
  if (!stream.headersSent)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  const head = new Uint8Array(FRAME_HEAD)
  new DataView(head.buffer).setUint32(1, message.length)
  if (stream.write(concat(head, message))) return
  // What changes meanwhile is told at once when the peer reads again.
  await once(stream, 'drain', { signal: gone }).catch(() => undefined)
}
