/** The body of an answer from one side of a sidecar to the other: as it comes, no faster than it is read, and within bounds. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

export interface RelayLimits {
  /** Between two parts, where it is no event stream and its reader does not keep it waiting. */
  readonly answerMilliseconds: number
  /** From its head to its end. */
  readonly streamMilliseconds: number
  readonly bytes: number
}

export type RelayEnd = 'whole' | 'broken' | 'late' | 'large' | 'unread'

export interface RelayHead {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
}

/** What has come with the head, and is no more than this, leaves with it in one write and one TLS record. */
const ONE_WRITE_BYTES = 8192

/**
 * Resolves when all of it was given on and the response has ended, or will not be; never rejects. The source is destroyed unless it was
 * whole.
 */
export async function relay(
  source: IncomingMessage,
  response: ServerResponse,
  head: RelayHead,
  limits: RelayLimits,
): Promise<RelayEnd> {
  const { promise, resolve } = Promise.withResolvers<RelayEnd>()
  const isStream = (source.headers['content-type'] ?? '').toLowerCase().startsWith('text/event-stream')
  const given = new Given(response, head)
  let bytes = 0
  const late = () => resolve('late')
  const whole = setTimeout(late, limits.streamMilliseconds).unref()
  const next = setTimeout(() => (isStream || source.isPaused() ? next.refresh() : late()), limits.answerMilliseconds)
  next.unref()
  source.on('data', (part: Buffer) => {
    bytes += part.length
    next.refresh()
    if (bytes > limits.bytes) return resolve('large')
    if (given.part(part)) return
    source.pause()
    response.once('drain', () => {
      next.refresh()
      source.resume()
    })
  })
  source.once('end', () => resolve(source.complete ? 'whole' : 'broken'))
  source.once('error', () => resolve('broken'))
  source.once('close', () => resolve(source.complete ? 'whole' : 'broken'))
  response.once('close', () => resolve('unread'))
  if (source.destroyed) resolve('broken')
  if (response.destroyed) resolve('unread')
  const end = await promise
  clearTimeout(whole)
  clearTimeout(next)
  given.ends(end === 'whole')
  if (!source.complete) source.destroy()
  return end
}

/** What the reader of the answer is given: its head with what came in the same moment, then the rest as it comes. */
class Given {
  readonly #response: ServerResponse
  readonly #head: RelayHead
  #waiting: Buffer[] | null = []
  #size = 0
  readonly #soon: NodeJS.Immediate

  constructor(response: ServerResponse, head: RelayHead) {
    this.#response = response
    this.#head = head
    this.#soon = setImmediate(() => this.#begin())
  }

  /** False when its reader is behind: `drain` says when it is not. */
  part(part: Buffer): boolean {
    this.#size += part.length
    if (this.#waiting === null) return this.#response.write(part)
    this.#waiting.push(part)
    return this.#size <= ONE_WRITE_BYTES || this.#begin()
  }

  /** An answer that breaks off has begun. */
  ends(isWhole: boolean): void {
    clearImmediate(this.#soon)
    const response = this.#response
    if (isWhole && this.#waiting !== null) {
      response.writeHead(this.#head.status, this.#head.headers)
      response.end(Buffer.concat(this.#waiting, this.#size).toString('latin1'), 'latin1')
    } else if (isWhole) response.end()
    else if (!response.destroyed) this.#begin()
  }

  #begin(): boolean {
    const waiting = this.#waiting
    if (waiting === null) return true
    this.#waiting = null
    this.#response.writeHead(this.#head.status, this.#head.headers)
    if (waiting.length > 0) return this.#response.write(Buffer.concat(waiting, this.#size))
    this.#response.flushHeaders()
    return true
  }
}
