/**
 * The answer to a message whose caller reads answers on another stream: its status goes back where the message came from,
 * what it says onto the stream as events.
 */

import { ServerResponse } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { messageEvent } from '@doorward/enforcement'

export interface EventSink {
  /** Writes whole events; false when the reader is slow. */
  write(bytes: Uint8Array): boolean
}

export interface EventResponseParts {
  readonly request: IncomingMessage
  readonly sink: EventSink
  /** Told once, with the head of the answer. The body of an answer that is refused comes with it. */
  readonly onAnswer: (answer: EventAnswer) => void
  /** Told once, when the answer has ended; whether it was an event stream. */
  readonly onEnd: (streamed: boolean) => void
}

export interface EventAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Empty unless the status is that of a refusal. */
  readonly body: Uint8Array
}

const REFUSED = 400

/** Behaves as the response of an exchange does, as far as answers of the MCP endpoint go; writes to no socket. */
export class EventResponse extends ServerResponse {
  readonly #parts: EventResponseParts
  #headers: Readonly<Record<string, string>> = {}
  #streams = false
  #over = false

  constructor(parts: EventResponseParts) {
    super(parts.request)
    this.#parts = parts
  }

  override writeHead(status: number, headers?: unknown): this {
    for (const [name, value] of Object.entries((headers ?? {}) as OutgoingHttpHeaders))
      if (value !== undefined) this.setHeader(name, value)
    const all = Object.entries(this.getHeaders()).map(([name, value]) => [name, String(value)] as const)
    this.#headers = Object.fromEntries(all)
    this.#streams = this.#headers['content-type'] === 'text/event-stream'
    super.writeHead(status)
    if (status < REFUSED) this.#answer(new Uint8Array(0))
    return this
  }

  override flushHeaders(): void {
    // Nothing is on its way anywhere.
  }

  override write(chunk: unknown): boolean {
    return this.#over || this.#parts.sink.write(bytesOf(chunk, 'utf8'))
  }

  override end(chunk?: unknown, encoding?: unknown): this {
    if (this.#over) return this
    const body = typeof chunk === 'function' || chunk === undefined ? new Uint8Array(0) : bytesOf(chunk, encoding)
    if (this.statusCode >= REFUSED) this.#answer(body)
    else if (body.length > 0) this.#parts.sink.write(this.#streams ? body : messageEvent(body))
    this.#close(true)
    return this
  }

  override destroy(): this {
    this.#close(false)
    return this
  }

  /** The stream has gone: nobody reads what would still come. */
  abandon(): void {
    this.#close(false)
  }

  #answer(body: Uint8Array): void {
    this.#parts.onAnswer({ status: this.statusCode, headers: this.#headers, body })
  }

  #close(finished: boolean): void {
    if (this.#over) return
    this.#over = true
    // What Node derives `writableEnded` and `writableFinished` from.
    Reflect.set(this, 'finished', finished)
    this.destroyed = !finished
    queueMicrotask(() => {
      this.emit('close')
      this.#parts.onEnd(this.#streams)
    })
  }
}

function bytesOf(chunk: unknown, encoding: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk
  return Buffer.from(String(chunk), encoding === 'latin1' ? 'latin1' : 'utf8')
}
