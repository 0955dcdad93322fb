/**
 * HTTP+SSE (2024-11-05) as a channel: one GET whose events are everything that the server sends, and a POST for every
 * message, to the address that its first event names, on the same origin and nowhere else.
 */

import type { Dispatcher } from 'undici'
import type { JsonObject, RequestId } from '@doorward/core'
import type { DenialCode, SseEvent } from '@doorward/enforcement'
import type { Channel, ChannelEvents } from './duplex-session.ts'
import type { CredentialedAnswer, Given, Sender, SentRequest } from './server-credential.ts'
import { eventName, SseParser } from '@doorward/enforcement'
import { failureOf } from './upstream-failure.ts'
import type { UpstreamLimits } from './upstream.ts'

export interface SseChannelParts {
  readonly url: URL
  readonly limits: UpstreamLimits
  /** As `CredentialedSender`. */
  readonly dispatch: (request: SentRequest, handler: CredentialedAnswer, sent: Sent) => void
  /** True where a request that is answered with 401 may be sent once more. */
  readonly renews: boolean
  /** False when as many requests are under way as there may be. */
  readonly enter: () => boolean
  readonly leave: () => void
}

/** What a request is sent with, told when it is known. */
export type Sent = Pick<Sender, 'onUse'> & { readonly given: Given }

interface Waiting {
  readonly message: Uint8Array
  readonly id: RequestId | null
}

const WAITING_MESSAGES = 64
const WAITING_BYTES = 4 * 1024 * 1024
const ENDPOINT_BYTES = 2048
const ACCEPTED_BYTES = 64 * 1024
const INFORMATIONAL = 8
const UNAUTHORIZED = 401
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class SseChannel implements Channel, CredentialedAnswer {
  readonly #parts: SseChannelParts
  readonly #events: ChannelEvents
  readonly #parser: SseParser
  readonly #gone: PromiseWithResolvers<void> = Promise.withResolvers()
  readonly #posts = new Set<Post>()
  readonly #deadline: NodeJS.Timeout
  readonly #open: () => void
  #controller: Dispatcher.DispatchController | null = null
  /** The credential was refused: the stream is asked for once more when that answer has ended. */
  #refusal: 'none' | 'ending' | 'renewed' = 'none'
  /** Where messages are posted; null before the server has said. */
  #endpoint: string | null = null
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #informational = 0
  #isOver = false

  /** Opens the stream. A server that is not there is told by `onExit`, never before this returns. */
  constructor(parts: SseChannelParts, events: ChannelEvents) {
    this.#parts = parts
    this.#events = events
    this.#parser = new SseParser(parts.limits.messageBytes)
    const { responseMilliseconds } = parts.limits
    this.#deadline = setTimeout(
      () => this.#end('upstream_timeout', 'it named no endpoint in time'),
      responseMilliseconds,
    ).unref()
    const path = `${parts.url.pathname}${parts.url.search}`
    const headers = { accept: 'text/event-stream', 'user-agent': 'doorward' }
    const onUse = (use: JsonObject) => events.onUsed(null, use)
    const given: Given = { fields: null }
    this.#open = () => parts.dispatch({ method: 'GET', path, headers, body: null }, this, { onUse, given })
    queueMicrotask(this.#open)
  }

  get over(): boolean {
    return this.#isOver
  }

  get gone(): Promise<void> {
    return this.#gone.promise
  }

  write(message: Uint8Array, id: RequestId | null): boolean {
    if (this.#isOver) return false
    if (this.#endpoint !== null) return this.#post(this.#endpoint, { message, id })
    if (this.#waiting.length >= WAITING_MESSAGES || this.#waitingBytes + message.length > WAITING_BYTES) return false
    this.#waiting.push({ message, id })
    this.#waitingBytes += message.length
    return true
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#deadline)
    this.#controller?.abort(new Error('the session has ended'))
    for (const post of this.#posts) post.abort()
    this.#parts.leave()
    this.#gone.resolve()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isOver) controller.abort(new Error('the session has ended'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) {
      if (++this.#informational > INFORMATIONAL) this.#end('upstream_invalid', 'too many informational answers')
      return
    }
    const type = String(headers['content-type'] ?? '')
      .split(';', 1)[0]
      ?.trim()
      .toLowerCase()
    if (status === 200 && type === 'text/event-stream') return
    if (status === UNAUTHORIZED && this.#parts.renews) {
      if (this.#refusal === 'none') this.#refusal = 'ending'
      else this.#end('credential_refused', 'it answered 401 to its credential')
      return
    }
    this.#end(status >= 500 ? 'upstream_unavailable' : 'upstream_invalid', `its stream was answered with ${status}`)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver || this.#refusal === 'ending') return
    const events = this.#parser.push(chunk)
    if (events === null) return this.#end('upstream_invalid', 'an event is too large')
    for (const event of events) if (!this.#isOver) this.#take(event)
  }

  #take(event: SseEvent): void {
    if (event.data === null) return
    const name = eventName(event)
    if (name === 'message') return this.#events.onMessage(event.data)
    // The first counts: a server that moves in the middle of a session is not followed.
    if (name === 'endpoint' && this.#endpoint === null) this.#begin(event.data)
  }

  #begin(data: Uint8Array): void {
    const endpoint = endpointOf(data, this.#parts.url)
    if (endpoint === null) return this.#end('upstream_invalid', 'it named an endpoint that is not its own')
    clearTimeout(this.#deadline)
    this.#endpoint = endpoint
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) {
      if (!this.#post(endpoint, one)) this.#events.onRefused(one.id, 'upstream_busy', 'too many requests are under way')
    }
  }

  #post(path: string, { message, id }: Waiting, refused: Given | null = null): boolean {
    const { enter, leave, dispatch, limits, renews } = this.#parts
    if (!enter()) return false
    const given = refused ?? { fields: null }
    const post = new Post(limits.responseMilliseconds, (failure) => {
      leave()
      this.#posts.delete(post)
      if (failure === null || this.#isOver) return
      if (failure.status === UNAUTHORIZED && renews) {
        if (refused === null && this.#post(path, { message, id }, given)) return
        return this.#events.onRefused(id, 'credential_refused', 'it answered 401 to its credential')
      }
      // What the server has forgotten we forget, and the caller starts again.
      if (failure.status === 404) this.#end('upstream_invalid', 'it has forgotten the session')
      else this.#events.onRefused(id, failure.code, failure.reason)
    })
    this.#posts.add(post)
    const headers = { 'content-type': 'application/json', 'user-agent': 'doorward' }
    const onUse = (use: JsonObject) => this.#events.onUsed(id, use)
    dispatch({ method: 'POST', path, headers, body: message }, post, { onUse, given })
    return true
  }

  onResponseEnd(): void {
    if (this.#refusal === 'ending' && !this.#isOver) {
      this.#refusal = 'renewed'
      return this.#open()
    }
    this.#end('upstream_unavailable', 'it ended its stream')
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { code, reason } = failureOf(error)
    this.#end(code, reason)
  }

  #end(code: DenialCode, reason: string): void {
    if (this.#isOver) return
    this.stop()
    this.#events.onExit(code, reason)
  }
}

/** Path and query of the endpoint; null when it is anywhere else than on the origin of the stream. */
function endpointOf(data: Uint8Array, base: URL): string | null {
  if (data.length > ENDPOINT_BYTES) return null
  let text: string
  try {
    text = decoder.decode(data)
  } catch {
    return null
  }
  const url = URL.canParse(text, base.href) ? new URL(text, base) : null
  if (url === null || url.origin !== base.origin || url.username !== '' || url.password !== '') return null
  return `${url.pathname}${url.search}`
}

interface PostFailure {
  readonly code: DenialCode
  readonly reason: string
  readonly status: number
}

/** One message on its way to the server, which only says that it has it. */
class Post implements CredentialedAnswer {
  readonly #onEnd: (failure: PostFailure | null) => void
  readonly #deadline: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | null = null
  #status = 0
  #bytes = 0
  #isOver = false

  constructor(milliseconds: number, onEnd: (failure: PostFailure | null) => void) {
    this.#onEnd = onEnd
    this.#deadline = setTimeout(
      () => this.#fail('upstream_timeout', 'it took no message in time'),
      milliseconds,
    ).unref()
  }

  get over(): boolean {
    return this.#isOver
  }

  abort(): void {
    this.#fail('session_unknown', 'the session has ended')
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isOver) controller.abort(new Error('too late'))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > ACCEPTED_BYTES) this.#fail('upstream_invalid', 'it answers where it has nothing to answer')
  }

  onResponseEnd(): void {
    if (this.#status >= 200 && this.#status < 300) return this.#end(null)
    const code = this.#status >= 500 ? 'upstream_unavailable' : 'upstream_invalid'
    this.#end({ code, reason: `a message was answered with ${this.#status}`, status: this.#status })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { code, reason } = failureOf(error)
    this.#end({ code, reason, status: 0 })
  }

  #fail(code: DenialCode, reason: string): void {
    if (this.#isOver) return
    this.#end({ code, reason, status: 0 })
    this.#controller?.abort(new Error(reason))
  }

  #end(failure: PostFailure | null): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#deadline)
    this.#onEnd(failure)
  }
}
