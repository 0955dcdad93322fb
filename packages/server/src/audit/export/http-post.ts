/** One POST at a time to a receiver over HTTPS: bounded in time and bytes, redirects never followed. */

import { Agent as PlainAgent, request as plainRequest } from 'node:http'
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import { Agent, request } from 'node:https'
import { connectionFailure, tlsOptions } from './client-tls.ts'
import type { ReadClientTls } from './client-tls.ts'
import { DeliveryError } from './sink.ts'

export interface HttpTarget {
  /** https, or http to this machine where `tls` is null. */
  readonly url: string
  readonly tls: ReadClientTls | null
  /** From the first to the last byte. */
  readonly timeoutMilliseconds: number
}

export interface HttpAnswer {
  readonly status: number
  readonly retryAfterMilliseconds: number | null
  readonly contentType: string
  readonly body: string
}

const MAX_ANSWER = 64 * 1024

/** Keeps one connection. */
export class HttpPost {
  readonly #target: HttpTarget
  #agent: Agent | PlainAgent | null = null

  constructor(target: HttpTarget) {
    this.#target = target
  }

  /** The answer, whatever its status. Rejects with a DeliveryError: `export_unreachable`, `export_untrusted`, `export_timeout`, `export_answer`; and with what reading the TLS files rejects with. */
  async send(body: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpAnswer> {
    const { url, timeoutMilliseconds } = this.#target
    const late = AbortSignal.timeout(timeoutMilliseconds)
    try {
      const options = {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        signal: AbortSignal.any([signal, late]),
      }
      const first = await this.#open(options)
      return await exchange(first, body).catch(async (error: unknown) => {
        // A receiver may close a connection that was idle in the moment in which it is used again.
        if (!first.reusedSocket || !isReset(error)) throw error
        this.close()
        return exchange(await this.#open(options), body)
      })
    } catch (error) {
      // A connection that has failed once is not used again, and files may have changed.
      this.close()
      if (late.aborted)
        throw new DeliveryError('export_timeout', 'the receiver did not answer in time', {
          where: url,
          expected: `within ${timeoutMilliseconds} ms`,
        })
      throw connectionFailure(error, url)
    }
  }

  async #open(options: RequestOptions): Promise<ClientRequest> {
    const { tls, url } = this.#target
    const one = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1 }
    this.#agent ??= tls === null ? new PlainAgent(one) : new Agent({ ...one, ...tlsOptions(await tls()) })
    const agent = this.#agent
    return tls === null ? plainRequest(url, { ...options, agent }) : request(url, { ...options, agent })
  }

  close(): void {
    this.#agent?.destroy()
    this.#agent = null
  }
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

function exchange(sending: ClientRequest, body: string): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    sending.once('error', reject)
    sending.once('response', (answer) => void readAnswer(answer).then(resolve, reject))
    sending.end(body)
  })
}

async function readAnswer(answer: IncomingMessage): Promise<HttpAnswer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of answer as AsyncIterable<Buffer>) {
    length += part.length
    if (length > MAX_ANSWER) {
      answer.destroy()
      throw new DeliveryError('export_answer', 'the answer of the receiver is too large', {
        expected: `at most ${MAX_ANSWER} bytes`,
      })
    }
    parts.push(part)
  }
  return {
    status: answer.statusCode ?? 0,
    retryAfterMilliseconds: retryAfter(answer.headers['retry-after']),
    contentType: answer.headers['content-type'] ?? '',
    body: Buffer.concat(parts).toString('utf8'),
  }
}

/** Seconds (RFC 9110 §10.2.3); a date is too rarely sent to be worth a clock. */
function retryAfter(header: string | undefined): number | null {
  return header !== undefined && /^[0-9]{1,6}$/.test(header) ? Number(header) * 1000 : null
}

/** The refusal of a status that acknowledges nothing. */
export function notTaken({ status, retryAfterMilliseconds, body }: HttpAnswer, where: string): DeliveryError {
  const got = `${status} ${body.slice(0, 200)}`.trim()
  if (status >= 300 && status < 400)
    return new DeliveryError('export_redirected', 'the receiver sends elsewhere, which is not followed', {
      where,
      got: String(status),
      next: 'name the final address',
    })
  if (status === 413)
    return new DeliveryError('export_too_large', 'the receiver finds the batch too large', { where, got })
  return new DeliveryError(
    'export_refused',
    'the receiver did not take the batch',
    { where, got },
    retryAfterMilliseconds,
  )
}
