/**
 * A caller that waits for a human, and has asked for progress, is told what it waits for (MCP, `notifications/progress`): its
 * answer becomes an event stream before there is a decision, and whatever the answer is follows on it.
 */

import { utf8 } from '@doorward/core'
import type { RequestId } from '@doorward/core'
import { messageEvent, mostWaiting } from '@doorward/enforcement'
import type { Exchange, WaitingFor, McpCall } from '@doorward/enforcement'
import { EventResponse } from './event-response.ts'
import type { EventAnswer } from './event-response.ts'

export interface WaitingProgressParts {
  readonly exchange: Exchange
  /** Between two notices. */
  readonly pauseMilliseconds: number
  /** Of an answer that its caller does not take; more ends the stream. */
  readonly unreadBytes: number
  readonly monotonic: () => number
}

export class WaitingProgress {
  readonly #parts: WaitingProgressParts
  readonly #cancelled: (() => void)[] = []
  #onward: Exchange | null = null
  #notices: NodeJS.Timeout | undefined
  #release: () => void = () => undefined

  constructor(parts: WaitingProgressParts) {
    this.#parts = parts
  }

  /** Where the call is to be answered. */
  get exchange(): Exchange {
    return this.#onward ?? this.#parts.exchange
  }

  /** Calls the listener when the caller cancels the call by a message of its own. */
  whenCancelled(listener: () => void): void {
    this.#cancelled.push(listener)
  }

  /** The wait begins. Nothing is told to whoever has not asked for it. */
  begin(waiting: WaitingFor, { session, message }: McpCall): void {
    if (message.kind !== 'request') return
    if (session !== null) this.#release = session.hold(message.id, () => this.#cancel())
    if (message.progressToken !== undefined) this.#tell(waiting, message.progressToken)
  }

  /** There is an answer, and nothing more to tell. */
  end(): void {
    clearInterval(this.#notices)
    this.#release()
  }

  #cancel(): void {
    for (const listener of this.#cancelled) listener()
  }

  #tell(waiting: WaitingFor, token: RequestId): void {
    const { exchange, pauseMilliseconds, monotonic } = this.#parts
    const { response } = exchange
    if (response.headersSent || response.destroyed) return
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
    })
    response.flushHeaders()
    this.#onward = this.#onStream()
    const until = monotonic() + waiting.waitMilliseconds
    const notice = () => {
      // Whoever does not read hears less, and nothing is kept for it.
      if (response.destroyed || response.writableLength > mostWaiting) return
      response.write(messageEvent(progress(token, waiting, (until - monotonic()) / 1000)))
    }
    notice()
    this.#notices = setInterval(notice, pauseMilliseconds).unref()
    response.once('close', () => clearInterval(this.#notices))
  }

  /** The exchange as before, but what is answered is written to the stream that has begun. */
  #onStream(): Exchange {
    const { exchange, unreadBytes } = this.#parts
    const { request, response } = exchange
    const sink = {
      write: (bytes: Uint8Array) => {
        if (response.writableLength <= unreadBytes) return response.write(bytes)
        response.destroy()
        return false
      },
    }
    const onward = new EventResponse({
      request,
      sink,
      onAnswer: (answer) => void sink.write(beginning(answer)),
      onEnd: () => (onward.destroyed ? response.destroy() : response.end()),
    })
    response.once('close', () => onward.abandon())
    return { ...exchange, response: onward }
  }
}

/** Which decision it is about can be told in no head any more; a refusal has its text here, and not on the stream. */
function beginning({ status, headers, body }: EventAnswer): Uint8Array {
  const decision = headers['doorward-decision']
  const comment = utf8(decision === undefined ? '' : `: doorward-decision ${decision}\n\n`)
  return status < 400 || body.length === 0 ? comment : Buffer.concat([comment, messageEvent(body)])
}

/** The seconds that are left, below zero: they only ever rise, and whatever the server tells later of its own work is more. */
function progress(progressToken: RequestId, { id, by, expires }: WaitingFor, secondsLeft: number): Uint8Array {
  const until = new Date(expires * 1000).toISOString()
  const message = `waits until ${by.join(' and ')} has answered the request ${id}, which stands until ${until}`
  const params = { progressToken, progress: -Math.max(secondsLeft, 0), message }
  return utf8(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params }))
}
