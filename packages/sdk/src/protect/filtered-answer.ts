/** Answers of a handler that are read on their way: one message as a whole, events as they come. */

import type { ServerResponse } from 'node:http'
import type { AnswerFilter } from '@doorward/enforcement'
import { bytesOf, callBack, keepHead, takeOff } from './written-answer.ts'
import type { Standing, Written } from './written-answer.ts'

/** What reads an answer of that content type; null for a type that is none. */
export type OpenFilter = (contentType: string) => AnswerFilter | null

/**
 * Gives on what the filter lets through, with the pace of whoever reads it. `fails` gets the reason when it lets nothing more
 * through, and the response as it is by then; that what the handler writes afterwards is nothing is for `fails` to see to.
 */
export function filterAnswer(response: ServerResponse, open: OpenFilter, fails: (problem: string) => void): () => void {
  const filtered = new Filtered(response, open, fails)
  return () => filtered.give()
}

class Filtered {
  readonly #response: ServerResponse
  readonly #open: OpenFilter
  readonly #fails: (problem: string) => void
  readonly #write: (bytes: Uint8Array) => boolean
  readonly #end: (bytes: Uint8Array) => void
  #filter: AnswerFilter | null = null
  #over = false

  constructor(response: ServerResponse, open: OpenFilter, fails: (problem: string) => void) {
    this.#response = response
    this.#open = open
    this.#fails = fails
    const [write, end] = [response.write.bind(response), response.end.bind(response)]
    this.#write = (bytes) => write(bytes)
    this.#end = (bytes) => void end(bytes)
    this.#stand()
  }

  /** What is written from now on is written. */
  give(): void {
    this.#over = true
    takeOff(this.#response, 'writeHead', 'flushHeaders', 'write', 'end')
  }

  #stand(): void {
    const response = this.#response
    const standing: Standing = {
      writeHead: (status, reason, headers) => {
        if (!this.#over) keepHead(response, status, reason, headers)
        return response
      },
      flushHeaders: () => void this.#begun(),
      write: (chunk, encoding, done) => {
        const goesOn = this.#pass(chunk, encoding)
        callBack(encoding, done)
        return goesOn
      },
      end: (chunk, encoding, done) => {
        this.#pass(chunk, encoding)
        callBack(chunk, encoding, done)
        this.#finish()
        return response
      },
    }
    Object.assign(response, standing)
  }

  /** False when its reader is behind: `drain` says when it is not. */
  #pass(chunk: Written, encoding: unknown): boolean {
    const bytes = this.#over ? null : bytesOf(chunk, encoding)
    const filter = bytes === null ? null : this.#begun()
    if (bytes === null || filter === null) return true
    const told = filter.push(bytes)
    if (told === null) this.#fail(filter.problem)
    return told === null || told.length === 0 || this.#write(told)
  }

  /** The head is known: what is more than one message leaves with it, as it comes. */
  #begun(): AnswerFilter | null {
    if (this.#over || this.#filter !== null) return this.#over ? null : this.#filter
    const response = this.#response
    const filter = this.#open(String(response.getHeader('content-type') ?? ''))
    if (filter === null) return this.#fail('a content type that is no answer')
    this.#filter = filter
    if (filter.isWhole) return filter
    response.removeHeader('content-length')
    takeOff(response, 'writeHead', 'flushHeaders')
    response.flushHeaders()
    return filter
  }

  #finish(): void {
    const filter = this.#begun()
    const told = filter?.end() ?? null
    if (filter === null) return
    if (told === null) return void this.#fail(filter.problem)
    if (filter.isWhole) this.#response.setHeader('Content-Length', told.length)
    this.give()
    this.#end(told)
  }

  #fail(problem: string | null | undefined): null {
    if (this.#over) return null
    this.give()
    this.#fails(problem ?? 'an answer that cannot be read')
    return null
  }
}
