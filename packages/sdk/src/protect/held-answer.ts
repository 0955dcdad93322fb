/** Answers of a handler that are looked at whole before anybody has them. */

import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { DoorwardError, LIST_LIMITS } from '@doorward/core'

export interface HeldAnswer {
  readonly status: number
  /** `Content-Type`; empty where there is none. */
  readonly type: string
  readonly bytes: Uint8Array
  readonly response: ServerResponse
}

export interface JudgedAnswer {
  readonly type: string
  readonly bytes: Uint8Array
}

/** What of the answer may leave; throws when nothing may. */
export type JudgeAnswer = (answer: HeldAnswer) => Promise<JudgedAnswer>

type Written = string | Uint8Array | null | undefined | (() => void)
type Headers = OutgoingHttpHeaders | readonly OutgoingHttpHeader[]

/**
 * Keeps what the handler writes until it has ended, at most as much as a list may have. `fails` gets the response as if nothing
 * was written; so does whoever calls what is returned, which forgets the answer.
 */
export function holdAnswer(response: ServerResponse, judge: JudgeAnswer, fails: (error: unknown) => void): () => void {
  const held = new Held(response, judge, fails)
  return () => held.give()
}

class Held {
  readonly #response: ServerResponse
  readonly #judge: JudgeAnswer
  readonly #fails: (error: unknown) => void
  readonly #parts: Buffer[] = []
  #size = 0
  #ended = false
  #given = false

  constructor(response: ServerResponse, judge: JudgeAnswer, fails: (error: unknown) => void) {
    this.#response = response
    this.#judge = judge
    this.#fails = fails
    Object.assign(response, {
      writeHead: (status: number, reason?: string | Headers, headers?: Headers) => {
        response.statusCode = status
        for (const [name, value] of headerPairs(typeof reason === 'string' ? headers : (reason ?? headers)))
          response.setHeader(name, value)
        return response
      },
      flushHeaders: () => undefined,
      write: (chunk: Written, encoding?: unknown, done?: unknown) => {
        this.#keep(chunk, encoding)
        callBack(encoding, done)
        return true
      },
      end: (chunk?: Written, encoding?: unknown, done?: unknown) => {
        this.#keep(chunk, encoding)
        callBack(chunk, encoding, done)
        this.#end()
        return response
      },
    })
  }

  /** What is written from now on is written. */
  give(): void {
    this.#given = true
    for (const name of ['writeHead', 'flushHeaders', 'write', 'end']) Reflect.deleteProperty(this.#response, name)
  }

  #keep(chunk: Written, encoding: unknown): void {
    if (this.#given || this.#ended || chunk === null || chunk === undefined || typeof chunk === 'function') return
    const part = typeof chunk === 'string' ? Buffer.from(chunk, encodingOf(encoding)) : Buffer.from(chunk)
    this.#size += part.length
    const { maxBytes } = LIST_LIMITS
    if (this.#size <= maxBytes) this.#parts.push(part)
    else this.#fail(new DoorwardError('answer_too_large', `an answer that is judged whole has over ${maxBytes} bytes`))
  }

  #end(): void {
    if (this.#given || this.#ended) return
    this.#ended = true
    this.#finish().catch((error: unknown) => this.#fail(error))
  }

  #fail(error: unknown): void {
    if (this.#given) return
    this.give()
    this.#fails(error)
  }

  async #finish(): Promise<void> {
    const response = this.#response
    const type = String(response.getHeader('content-type') ?? '')
    const { statusCode: status } = response
    const judged = await this.#judge({ status, type, bytes: Buffer.concat(this.#parts), response })
    if (this.#given || response.destroyed) return
    this.give()
    if (judged.type !== '') response.setHeader('Content-Type', judged.type)
    response.setHeader('Content-Length', judged.bytes.length)
    response.end(judged.bytes)
  }
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8'
}

function callBack(...candidates: readonly unknown[]): void {
  const done = candidates.find((one) => typeof one === 'function')
  if (done !== undefined) queueMicrotask(() => Reflect.apply(done as () => void, undefined, []))
}

function* headerPairs(headers: Headers | undefined): Generator<[string, number | string | readonly string[]]> {
  if (headers === undefined) return
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) yield [name, value]
    return
  }
  for (let i = 0; i + 1 < headers.length; i += 2) yield [String(headers[i]), headers[i + 1] as string]
}
