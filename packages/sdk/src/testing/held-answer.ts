/** Answers of a handler that are looked at whole before anybody has them. */

import type { ServerResponse } from 'node:http'
import { DoorwardError, LIST_LIMITS } from '@doorward/core'
import { bytesOf, callBack, keepHead, takeOff } from '../protect/written-answer.ts'
import type { Standing, Written } from '../protect/written-answer.ts'

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

/**
 * Keeps what the handler writes until it has ended, at most as much as a list may have. `fails` gets the response as if nothing
 * was written, and mutes it; so does whoever calls what is returned, which forgets the answer.
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
    const standing: Standing = {
      writeHead: (status, reason, headers) => {
        keepHead(response, status, reason, headers)
        return response
      },
      flushHeaders: () => undefined,
      write: (chunk, encoding, done) => {
        this.#keep(chunk, encoding)
        callBack(encoding, done)
        return true
      },
      end: (chunk, encoding, done) => {
        this.#keep(chunk, encoding)
        callBack(chunk, encoding, done)
        this.#end()
        return response
      },
    }
    Object.assign(response, standing)
  }

  /** What is written from now on is written. */
  give(): void {
    this.#given = true
    takeOff(this.#response, 'writeHead', 'flushHeaders', 'write', 'end')
  }

  #keep(chunk: Written, encoding: unknown): void {
    const part = this.#given || this.#ended ? null : bytesOf(chunk, encoding)
    if (part === null) return
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
