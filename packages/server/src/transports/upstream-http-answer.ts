/** One request to an HTTP server and its answer: JSON or an event stream, each message judged before it goes on. */

import type { Dispatcher } from 'undici'
import { textWithoutSecrets } from '@doorward/core'
import {
  deny,
  GrowingBytes,
  isEventName,
  judgedEvent,
  lastEvent,
  SseParser,
  wholeAnswer,
  withFields,
} from '@doorward/enforcement'
import type { AnswerReading, CallScope, DenialCode, McpCall, SseEvent, TrafficOptions } from '@doorward/enforcement'
import { insufficientScopes } from './protected-resource.ts'
import type { CredentialedAnswer, UpstreamFailure } from './server-credential.ts'
import { failureOf } from './upstream-failure.ts'
import type { Reply, UpstreamLimits } from './upstream.ts'

export interface HttpAnswerParts {
  readonly call: McpCall
  readonly reply: Reply
  readonly scope: CallScope
  readonly limits: UpstreamLimits
  readonly traffic: TrafficOptions
  readonly onFailure: (reason: string) => void
  readonly onNamed: (id: string) => void
  readonly refuseToServer: (message: Uint8Array) => void
  /** Sends the request once more; null for what must not be repeated. */
  readonly again: (() => void) | null
  /** Sends it once more with another credential than the server has just refused; null where there is none. */
  readonly renew: (() => void) | null
  /** The server demands more scopes: what the caller is told then, or null where that is the server's own answer. */
  readonly widen: (scopes: readonly string[]) => Promise<UpstreamFailure | null>
  /** The session has ended at the server, or by its client's wish. */
  readonly onGone: () => void
  /** The server does not know the version that it was said to speak. */
  readonly onContradicted?: () => void
  readonly onEnd: () => void
}

const UNAUTHORIZED = 401
const FORBIDDEN = 403
const UNSUPPORTED_VERSION = -32022
const ERROR_BODY_BYTES = 64 * 1024
/** Informational answers (1xx) to one request. */
const INFORMATIONAL = 8
const RETRY_PAUSE = 100
const NOTHING = new Uint8Array(0)
const SESSION_ID = /^[\x21-\x7e]{1,256}$/

/** One request to the server and its answer. */
export class HttpAnswer implements CredentialedAnswer {
  readonly #parts: HttpAnswerParts
  #controller: Dispatcher.DispatchController | null = null
  #ended = false
  #status = 0
  /** Of an answer in one piece, as most are: the piece itself. */
  #piece: Uint8Array | null = null
  #body: GrowingBytes | null = null
  #bodyLimit = 0
  #isJson = false
  #retryAfter: string | null = null
  /** What a server asks for that has refused a token as too little. */
  #scopes: readonly string[] | null = null
  #parser: SseParser | null = null
  /** Events wait for the judgement of those before them. */
  #queue: Promise<void> = Promise.resolve()
  #cancelled: string | null = null
  #informational = 0
  #retried = false
  #renewed = false
  /** Until a stream begins, or all of any other answer is there. */
  readonly #deadline: NodeJS.Timeout

  constructor(parts: HttpAnswerParts) {
    this.#parts = parts
    const { responseMilliseconds } = parts.limits
    this.#deadline = setTimeout(
      () => this.#giveUp('upstream_timeout', `no answer within ${responseMilliseconds} ms`),
      responseMilliseconds,
    ).unref()
    // To the server the caller's going looks as it would without us. Legacy: that is no cancellation, which has a message of
    // its own, so that it keeps what a resumption needs. Modern: it is the cancellation.
    parts.reply.onClose(() => this.cancel('the caller has gone'))
  }

  get over(): boolean {
    return this.#ended || this.#cancelled !== null
  }

  cancel(reason: string): void {
    this.#cancelled ??= reason
    if (!this.#ended) this.#controller?.abort(new Error(reason))
    const { reply, call } = this.#parts
    // The session's own stream ends with it: nothing failed to come.
    if (call.message.kind === 'session-operation' && reply.started) reply.end()
    else reply.fail('session_unknown', reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#cancelled !== null || this.#ended) controller.abort(new Error(this.#cancelled ?? 'too late'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) {
      if (++this.#informational > INFORMATIONAL) this.#invalid('too many informational answers')
      return
    }
    const { call } = this.#parts
    this.#status = status
    const type = String(headers['content-type'] ?? '')
      .split(';', 1)[0]
      ?.trim()
      .toLowerCase()
    const named = headers['mcp-session-id']
    if (call.opens && status === 200 && typeof named === 'string' && SESSION_ID.test(named)) this.#parts.onNamed(named)
    const mayStream = call.message.kind === 'request' || call.head.method === 'GET'
    if (status === 200 && type === 'text/event-stream' && mayStream) return this.#beginStream()
    this.#isJson = type === 'application/json'
    this.#retryAfter =
      typeof headers['retry-after'] === 'string' && /^\d{1,6}$/.test(headers['retry-after'])
        ? headers['retry-after']
        : null
    const challenge = status === FORBIDDEN ? headers['www-authenticate'] : undefined
    this.#scopes = typeof challenge === 'string' ? insufficientScopes(challenge) : null
    this.#bodyLimit = status === 200 ? this.#parts.limits.messageBytes : ERROR_BODY_BYTES
  }

  #beginStream(): void {
    clearTimeout(this.#deadline)
    this.#parser = new SseParser(this.#parts.limits.messageBytes)
    this.#parts.reply.stream()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#parser === null) {
      this.#append(chunk)
      return
    }
    const events = this.#parser.push(chunk)
    if (events === null) return this.#invalid('an event is too large')
    if (events.length === 0) return
    controller.pause()
    this.#queue = this.#queue
      .then(() => this.#deliver(events))
      .then(
        () => controller.resume(),
        () => this.#invalid('an event could not be delivered'),
      )
  }

  #append(chunk: Uint8Array): void {
    if (this.#bytes().length + chunk.length > this.#bodyLimit) return this.#invalid('the answer is too large')
    if (this.#piece === null) {
      this.#piece = chunk
      return
    }
    if (this.#body === null) {
      this.#body = new GrowingBytes()
      this.#body.append(this.#piece)
    }
    this.#body.append(chunk)
  }

  /** The body so far. */
  #bytes(): Uint8Array {
    return this.#body?.view() ?? this.#piece ?? NOTHING
  }

  async #deliver(events: readonly SseEvent[]): Promise<void> {
    const redacts = this.#parts.traffic.output?.redact === true
    for (const one of events) {
      const event = redacts ? this.#withoutSecretFields(one) : one
      const bytes = await judgedEvent(event, this.#reading)
      if (bytes !== null) await this.#parts.reply.send(bytes)
    }
  }

  /** Ids are their server's, and pass as they are unless a secret is in them: then the client has a name of ours for it. */
  #withoutSecretFields(event: SseEvent): SseEvent {
    const { scope, reply, traffic } = this.#parts
    const withoutKnown = traffic.output?.withoutKnown ?? ((text: string) => text)
    let count = 0
    const told = withFields(event, {
      id: (id) => {
        if (!isEventName(id) && textWithoutSecrets(withoutKnown(id)) === id) return id
        count++
        return scope.events?.nameOf(id) ?? null
      },
      event: (name) => {
        const left = textWithoutSecrets(withoutKnown(name))
        if (left !== name) count++
        return left
      },
    })
    if (count > 0) reply.redacted(count)
    return told
  }

  get #reading(): AnswerReading {
    const { call, scope, traffic, reply, refuseToServer } = this.#parts
    const note = (code: DenialCode) => reply.note(code)
    const redacted = (count: number) => reply.redacted(count)
    return { call, scope, traffic, eraKnown: true, note, redacted, refuseToServer }
  }

  onResponseEnd(): void {
    this.#queue = this.#queue
      .then(() => this.#complete())
      .catch(() => this.#invalid('the answer could not be delivered'))
  }

  async #complete(): Promise<void> {
    if (this.#ended || this.#renews() || (await this.#isWidened())) return
    const { call, onGone } = this.#parts
    if (this.#parser === null) await this.#answerWhole()
    else this.#endStream()
    this.#end()
    // What the server has forgotten we forget, and the caller starts again.
    const forgotten = this.#status === 404 && !call.opens
    if (forgotten || (call.head.method === 'DELETE' && this.#status < 300)) onGone()
  }

  /** Whoever is not let in has not been heard: the same once more, within the same deadline. */
  #renews(): boolean {
    const { renew, reply } = this.#parts
    if (this.#status !== UNAUTHORIZED || renew === null || this.#renewed || this.over) return false
    this.#renewed = true
    this.#controller = null
    this.#piece = null
    this.#body = null
    reply.retried()
    renew()
    return true
  }

  /** Whoever may allow more is asked to; the server has heard the request, and it is not sent again. */
  async #isWidened(): Promise<boolean> {
    if (this.#scopes === null) return false
    const { widen, reply, scope, call } = this.#parts
    const failure = await widen(this.#scopes)
    if (failure === null) return false
    if (this.over) return true
    if (call.message.kind === 'request') scope.answered(call.message.id)
    const { code, explanation, consent } = failure
    if (consent === undefined) reply.fail(code, explanation)
    else reply.refuse(deny(code, explanation, { consent }))
    this.#end()
    return true
  }

  #endStream(): void {
    const { reply } = this.#parts
    const last = lastEvent(this.#reading)
    if (last !== null) reply.write(last)
    reply.end()
  }

  async #answerWhole(): Promise<void> {
    const { reply, scope, call, renew } = this.#parts
    if (this.#status === UNAUTHORIZED && renew !== null) {
      if (call.message.kind === 'request') scope.answered(call.message.id)
      return reply.fail('credential_refused', 'the server answered 401 to its credential')
    }
    const whole = { status: this.#status, isJson: this.#isJson, body: this.#bytes() }
    const told = await wholeAnswer(whole, this.#reading)
    if (told.kind === 'failed') return reply.fail(told.code, told.explanation)
    const headers = told.status < 400 || this.#retryAfter === null ? {} : { 'Retry-After': this.#retryAfter }
    if (told.kind === 'status') return reply.status(told.status, headers)
    if (told.error === UNSUPPORTED_VERSION) this.#parts.onContradicted?.()
    reply.json(told.status, told.body, headers)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#queue = this.#queue.then(() => this.#failed(error))
  }

  #failed(error: Error): void {
    if (this.#ended || this.#mayRetry(error)) return
    this.#end()
    const { reply, scope, call, onFailure } = this.#parts
    if (this.#cancelled !== null) return
    if (call.message.kind === 'request' && !reply.started) scope.answered(call.message.id)
    const { code, reason, consent } = failureOf(error)
    if (consent !== null) return reply.refuse(deny(code, reason, { consent }))
    onFailure(reason)
    reply.fail(code, reason)
  }

  /** Nothing has been sent, nothing can have been carried out: once more, within the same deadline. */
  #mayRetry(error: Error): boolean {
    const { again, reply } = this.#parts
    if (again === null || this.#retried || this.#controller !== null || this.#cancelled !== null) return false
    if (!failureOf(error).refused) return false
    this.#retried = true
    reply.retried()
    setTimeout(() => (this.#ended || reply.closed ? this.#end() : again()), RETRY_PAUSE)
    return true
  }

  #invalid(explanation: string): void {
    this.#giveUp('upstream_invalid', explanation)
  }

  #giveUp(code: DenialCode, explanation: string): void {
    if (this.#ended) return
    const { reply, scope, call, onFailure } = this.#parts
    if (call.message.kind === 'request') scope.answered(call.message.id)
    onFailure(explanation)
    reply.fail(code, explanation)
    this.#controller?.abort(new Error(explanation))
    this.#end()
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#deadline)
    this.#parts.onEnd()
  }
}
