/** What a handler answers as an MCP server, message by message as its caller may have it. */

import type { ServerResponse } from 'node:http'
import {
  GrowingBytes,
  isMediaType,
  judgedEvent,
  lastEvent,
  maxEventBytes,
  SseParser,
  wholeAnswer,
} from '@doorward/enforcement'
import type { AnswerReading, SseEvent } from '@doorward/enforcement'
import type { Answering } from './surface.ts'
import { bytesOf, callBack, keepHead, takeOff } from './written-answer.ts'
import type { Standing, Written } from './written-answer.ts'

export interface McpAnswerParts {
  readonly reading: AnswerReading
  readonly answering: Pick<Answering, 'fails'>
  /** The handler has said so much: status, and the session that it names. */
  readonly onHead: (status: number, session: string | null) => void
  /** What the caller calls the session that begins with this answer; null where none does. */
  readonly session: (streaming: boolean) => string | null
}

const SESSION = 'mcp-session-id'
const ERROR_BYTES = 64 * 1024
/** Of a stream that waits to be judged: the handler is asked to wait, and does not. */
const MOST_UNJUDGED = 2 * maxEventBytes
const PACE_BYTES = 64 * 1024

export class McpAnswer {
  readonly #response: ServerResponse
  readonly #parts: McpAnswerParts
  readonly #write: (bytes: Uint8Array) => boolean
  readonly #body = new GrowingBytes()
  #parser: SseParser | null = null
  #begun = false
  #ended = false
  #over = false
  /** Bytes that were written and not yet judged. */
  #unjudged = 0
  #asksToWait = false
  /** Events wait for the judgement of those before them. */
  #queue: Promise<void> = Promise.resolve()

  constructor(response: ServerResponse, parts: McpAnswerParts) {
    this.#response = response
    this.#parts = parts
    const write = response.write.bind(response)
    this.#write = (bytes) => write(bytes)
    this.#stand()
  }

  /** What is written from now on is written. */
  give(): void {
    this.#over = true
    takeOff(this.#response, 'writeHead', 'flushHeaders', 'write', 'end')
  }

  /** Ends it where it is a stream, after what waits to be judged. */
  endStream(): void {
    if (this.#parser !== null) this.#end()
  }

  #stand(): void {
    const response = this.#response
    const standing: Standing = {
      writeHead: (status, reason, headers) => {
        if (!this.#over) keepHead(response, status, reason, headers)
        return response
      },
      flushHeaders: () => this.#begin(),
      write: (chunk, encoding, done) => {
        const goesOn = this.#take(chunk, encoding)
        callBack(encoding, done)
        return goesOn
      },
      end: (chunk, encoding, done) => {
        this.#take(chunk, encoding)
        callBack(chunk, encoding, done)
        this.#end()
        return response
      },
    }
    Object.assign(response, standing)
  }

  /** The head is known: a stream leaves as it comes. */
  #begin(): void {
    if (this.#over || this.#begun) return
    this.#begun = true
    const response = this.#response
    const named = response.getHeader(SESSION)
    response.removeHeader(SESSION)
    this.#parts.onHead(response.statusCode, typeof named === 'string' ? named : null)
    const coding = String(response.getHeader('content-encoding') ?? 'identity')
    if (coding !== 'identity') return this.#fail('an encoding that nobody asked for')
    const { message, head } = this.#parts.reading.call
    const mayStream = message.kind === 'request' || head.method === 'GET'
    if (response.statusCode !== 200 || !mayStream || !this.#isOf('text/event-stream')) return
    this.#parser = new SseParser()
    response.removeHeader('content-length')
    this.#nameSession(true)
    takeOff(response, 'writeHead', 'flushHeaders')
    response.flushHeaders()
  }

  #isOf(type: string): boolean {
    return isMediaType(String(this.#response.getHeader('content-type') ?? ''), type)
  }

  #nameSession(streaming: boolean): void {
    const name = this.#parts.session(streaming)
    if (name !== null) this.#response.setHeader(SESSION, name)
  }

  /** False when more should wait: `drain` says until when. */
  #take(chunk: Written, encoding: unknown): boolean {
    const bytes = this.#over || this.#ended ? null : bytesOf(chunk, encoding)
    if (bytes === null) return true
    this.#begin()
    if (this.#over) return true
    if (this.#parser === null) this.#keep(bytes)
    else this.#push(this.#parser, bytes)
    return !this.#asksToWait
  }

  #keep(bytes: Uint8Array): void {
    const most = this.#response.statusCode === 200 ? maxEventBytes : ERROR_BYTES
    if (this.#body.length + bytes.length > most) this.#fail('the answer is too large')
    else this.#body.append(bytes)
  }

  #push(parser: SseParser, bytes: Uint8Array): void {
    const events = parser.push(bytes)
    if (events === null) return this.#fail('an event is too large')
    if (events.length === 0) return
    this.#unjudged += bytes.length
    if (this.#unjudged > MOST_UNJUDGED) return this.#fail('more is written than can be judged')
    this.#then(() => this.#deliver(events, bytes.length))
    this.#asksToWait ||= this.#unjudged > PACE_BYTES
  }

  #then(work: () => Promise<void>): void {
    this.#queue = this.#queue.then(work).catch((error: unknown) => this.#fail(`it was not judged: ${String(error)}`))
  }

  async #deliver(events: readonly SseEvent[], length: number): Promise<void> {
    for (const event of events) {
      const bytes = this.#isOver() ? null : await judgedEvent(event, this.#parts.reading)
      if (bytes !== null && !this.#isOver() && !this.#write(bytes)) await this.#drained()
    }
    this.#unjudged -= length
    if (!this.#asksToWait || this.#unjudged > PACE_BYTES) return
    this.#asksToWait = false
    this.#response.emit('drain')
  }

  /** While something was waited for it may have changed. */
  #isOver(): boolean {
    return this.#over || this.#response.destroyed
  }

  #drained(): Promise<void> {
    const response = this.#response
    if (!response.writableNeedDrain || response.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        response.off('drain', done).off('close', done)
        resolve()
      }
      response.on('drain', done).on('close', done)
    })
  }

  #end(): void {
    if (this.#over || this.#ended) return
    this.#begin()
    this.#ended = true
    this.#then(() => (this.#parser === null ? this.#finish() : this.#finishStream()))
  }

  async #finishStream(): Promise<void> {
    if (this.#isOver()) return
    const last = lastEvent(this.#parts.reading)
    this.give()
    if (last === null) this.#response.end()
    else this.#response.end(last)
  }

  async #finish(): Promise<void> {
    const response = this.#response
    if (this.#isOver()) return
    const answer = { status: response.statusCode, isJson: this.#isOf('application/json'), body: this.#body.view() }
    const told = await wholeAnswer(answer, this.#parts.reading)
    if (this.#isOver()) return
    if (told.kind === 'failed') return this.#fail(told.explanation)
    this.#nameSession(false)
    this.give()
    response.statusCode = told.status
    const body = told.kind === 'json' ? told.body : new Uint8Array()
    if (told.kind === 'json') response.setHeader('Content-Type', 'application/json')
    else response.removeHeader('content-type')
    response.setHeader('Content-Length', body.length)
    response.end(body)
  }

  #fail(problem: string): void {
    if (this.#over) return
    this.give()
    this.#parts.answering.fails('upstream_invalid', problem)
  }
}
