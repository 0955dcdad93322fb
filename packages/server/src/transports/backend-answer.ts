/** One request to a service and its answer: bytes through as they come, headers chosen, lengths and times bounded. */

import type { Dispatcher } from 'undici'
import type { AnswerFilter, DenialCode } from '@doorward/enforcement'
import { textWithoutSecrets } from '@doorward/core'
import { listedHeaders } from './backend-headers.ts'
import { inTurn, openAnswerFilter } from './backend-redaction.ts'
import type { KnownTexts } from './backend-redaction.ts'
import type { BackendReply } from './backend-reply.ts'
import type { CredentialedAnswer } from './server-credential.ts'
import { failureOf } from './upstream-failure.ts'

export interface BackendAnswerParts {
  readonly reply: BackendReply
  /** Names of headers that pass. */
  readonly headers: readonly string[]
  readonly answerBytes: number
  /** Known secrets are taken out of what can be read. */
  readonly redact: boolean
  /** What it was given by us, which is taken out too. */
  readonly known: KnownTexts
  /** Reads every answer, by its content type, as its protocol has it; null where answers are bytes. */
  readonly filter: ((contentType: string, answerBytes: number) => AnswerFilter | null) | null
  /** Until the head of the answer, and between its parts where it is no event stream. */
  readonly responseMilliseconds: number
  /** All of it. */
  readonly streamMilliseconds: number
  /** Sends the request once more; null for what must not be repeated. */
  readonly again: (() => void) | null
  /** Sends it once more with another credential than the service has just refused; null where there is none. */
  readonly renew: (() => void) | null
  readonly onFailure: (reason: string) => void
  readonly onEnd: () => void
}

const UNREADABLE = 'the answer cannot be read for secrets'
/** Informational answers (1xx) to one request. */
const INFORMATIONAL = 8
const RETRY_PAUSE = 100
/** Statuses whose meaning is between us and the service: credentials are never the caller's business. */
const UNAUTHORIZED = 401
const NOT_RELAYED: ReadonlySet<number> = new Set([UNAUTHORIZED, 407])
const REFUSAL_BYTES = 64 * 1024
const NOT_MODIFIED = 304
const PARTIAL = 206
const NOTHING = new Uint8Array()

export class BackendAnswer implements CredentialedAnswer {
  readonly #parts: BackendAnswerParts
  readonly #wait: NodeJS.Timeout
  readonly #whole: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | null = null
  #informational = 0
  #bytes = 0
  #retried = false
  /** The credential was refused: what comes of that answer is nobody's, and the request is sent once more behind it. */
  #refusal: 'none' | 'ending' | 'renewed' = 'none'
  /** Nothing is expected soon: the answer is an event stream, or its caller has to read first. */
  #isPatient = false
  #isStream = false
  /** Null where everything passes. */
  #filter: AnswerFilter | null = null
  /** Sends the head, once the body is known to be readable. */
  #begin: (() => void) | null = null
  #over = false

  constructor(parts: BackendAnswerParts) {
    this.#parts = parts
    const { responseMilliseconds, streamMilliseconds, reply } = parts
    const late = (milliseconds: number) =>
      this.#giveUp('upstream_timeout', `nothing, or not all, within ${milliseconds} ms`)
    this.#wait = setTimeout(() => {
      if (!this.#isPatient) late(responseMilliseconds)
    }, responseMilliseconds).unref()
    this.#whole = setTimeout(() => late(streamMilliseconds), streamMilliseconds).unref()
    reply.onClose(() => {
      if (this.#over) return
      this.#end()
      this.#controller?.abort(new Error('the caller has gone'))
    })
  }

  get over(): boolean {
    return this.#over
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#over) controller.abort(new Error('too late'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#over) return
    if (status < 200) {
      if (++this.#informational > INFORMATIONAL) this.#giveUp('upstream_invalid', 'too many informational answers')
      return
    }
    if (this.#wasRefused(status)) return
    const problem = this.#problem(status, headers)
    if (problem !== null) return this.#giveUp('upstream_invalid', problem)
    const { reply, headers: names, redact, filter } = this.#parts
    const type = String(headers['content-type'] ?? '').toLowerCase()
    this.#isStream = type.startsWith('text/event-stream')
    this.#isPatient = this.#isStream
    this.#wait.refresh()
    const listed = { 'content-type': 'application/octet-stream', ...listedHeaders(headers, names) }
    if (!redact && filter === null) return reply.begin(status, listed)
    const opened = this.#openFilter(type)
    if (typeof opened === 'string') return this.#giveUp('upstream_invalid', opened)
    this.#filter = opened
    const kept = redact ? this.#withoutSecrets(listed) : listed
    if (this.#filter.isWhole) this.#begin = () => reply.begin(status, kept)
    else reply.begin(status, kept)
  }

  /** Secrets are looked for before names are put in, which look like some. */
  #openFilter(type: string): AnswerFilter | string {
    const { redact, known, answerBytes, filter } = this.#parts
    const clean = redact ? openAnswerFilter(type === '' ? undefined : type, answerBytes, known) : null
    if (redact && clean === null) return 'a character set that cannot be read'
    const read = filter?.(type, answerBytes) ?? null
    if (filter !== null && read === null) return 'a content type that is no answer'
    return clean !== null && read !== null ? inTurn(clean, read) : (clean ?? read ?? 'nothing reads it')
  }

  #withoutSecrets(headers: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(headers)
        .filter(([name]) => name !== 'accept-ranges')
        .map(([name, value]) => {
          const filtered = textWithoutSecrets(this.#parts.known.without(value))
          if (filtered !== value) this.#parts.reply.redacted(1)
          return [name, filtered]
        }),
    )
  }

  /** True when nothing more is to be done about this answer. */
  #wasRefused(status: number): boolean {
    if (status !== UNAUTHORIZED || this.#parts.renew === null) return false
    if (this.#refusal === 'none') this.#refusal = 'ending'
    else this.#giveUp('credential_refused', 'the service answered 401 to its credential')
    return true
  }

  #problem(status: number, headers: Record<string, string | string[] | undefined>): string | null {
    if (status >= 300 && status < 400 && status !== NOT_MODIFIED) return `a redirect (${status})`
    if (NOT_RELAYED.has(status)) return `a demand for credentials (${status})`
    const coding = headers['content-encoding']
    if (coding !== undefined && coding !== 'identity') return 'an encoding that nobody asked for'
    // A secret in two parts is in neither.
    if (status === PARTIAL && this.#parts.redact) return 'a part of an answer, which nobody asked for'
    const length = Number(headers['content-length'] ?? 0)
    return length > this.#parts.answerBytes ? 'the answer is too large' : null
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return
    const { reply, answerBytes } = this.#parts
    this.#bytes += chunk.length
    if (this.#refusal === 'ending') {
      if (this.#bytes > REFUSAL_BYTES)
        this.#giveUp('credential_refused', 'the service refused its credential at length')
      return
    }
    if (this.#bytes > answerBytes) return this.#giveUp('upstream_invalid', 'the answer is too large')
    this.#wait.refresh()
    const passing = this.#filter === null ? chunk : this.#filter.push(chunk)
    if (passing === null) return this.#giveUp('upstream_invalid', this.#filter?.problem ?? UNREADABLE)
    if (passing.length === 0 || reply.write(passing)) return
    this.#isPatient = true
    controller.pause()
    void reply.drained().then(() => {
      this.#isPatient = this.#isStream
      if (!this.#over) this.#wait.refresh()
      controller.resume()
    })
  }

  onResponseEnd(): void {
    if (this.#over) return
    if (this.#refusal === 'ending') return this.#renew()
    const { reply } = this.#parts
    const rest = this.#filter === null ? NOTHING : this.#filter.end()
    if (rest === null) return this.#giveUp('upstream_invalid', this.#filter?.problem ?? UNREADABLE)
    if (this.#filter !== null && this.#filter.count > 0) reply.redacted(this.#filter.count)
    this.#begin?.()
    if (rest.length > 0) reply.write(rest)
    this.#end()
    reply.end()
  }

  /** Whoever is not let in has not been heard: the same once more. */
  #renew(): void {
    const { reply, renew } = this.#parts
    this.#refusal = 'renewed'
    this.#controller = null
    this.#bytes = 0
    this.#wait.refresh()
    reply.retried()
    renew?.()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over || this.#mayRetry(error)) return
    const { code, reason } = failureOf(error)
    this.#giveUp(code, reason)
  }

  /** Nothing has been sent, nothing can have been carried out: once more, within the same deadline. */
  #mayRetry(error: Error): boolean {
    const { again, reply } = this.#parts
    if (again === null || this.#retried || this.#controller !== null || !failureOf(error).refused) return false
    this.#retried = true
    reply.retried()
    setTimeout(() => (this.#over ? undefined : again()), RETRY_PAUSE)
    return true
  }

  #giveUp(code: DenialCode, reason: string): void {
    if (this.#over) return
    const { reply, onFailure } = this.#parts
    this.#end()
    onFailure(reason)
    reply.fail(code, reason)
    this.#controller?.abort(new Error(reason))
  }

  #end(): void {
    this.#over = true
    clearTimeout(this.#wait)
    clearTimeout(this.#whole)
    this.#parts.onEnd()
  }
}
