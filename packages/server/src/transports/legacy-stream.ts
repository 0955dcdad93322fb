/** The stream of one HTTP+SSE client: the decision that opened it, the session that it carries, and its end. */

import type {
  Authorized,
  CallHold,
  Denial,
  DenialCode,
  Exchange,
  OpenCall,
  Outcome,
  StageTimes,
} from '@doorward/enforcement'
import { utf8 } from '@doorward/core'
import type { IncomingMessage } from 'node:http'
import type { EventResponse } from './event-response.ts'

export interface LegacyStreamOptions {
  readonly exchange: Exchange
  readonly server: string
  readonly authorized: Authorized<unknown>
  readonly headers: Readonly<Record<string, string>>
  /** Where messages are sent, as the first event tells it. */
  readonly endpoint: string
  readonly times: StageTimes
  readonly keepAliveMilliseconds: number
  /** The longest that it stays open. */
  readonly streamMilliseconds: number
  /** More than so many bytes that are not read end it. */
  readonly unreadBytes: number
  readonly hold?: CallHold
  /** Called once, at the end. */
  readonly onEnd: (outcome: Outcome) => void
}

const KEEP_ALIVE = utf8(': keep-alive\n\n')

export class LegacyStream implements OpenCall {
  readonly #options: LegacyStreamOptions
  readonly #answers = new Set<EventResponse>()
  readonly #timers: readonly NodeJS.Timeout[]
  /** Of the session that its `initialize` has opened; null before. */
  sessionId: string | null = null
  /** The server's own messages are asked for. */
  listens = false
  #bytes = 0
  #denial: Denial | null = null
  #code: DenialCode | undefined
  #over = false

  constructor(options: LegacyStreamOptions) {
    this.#options = options
    const { exchange, headers, endpoint, keepAliveMilliseconds, streamMilliseconds, hold } = options
    const { response } = exchange
    response.once('close', () => this.#close(response.writableFinished))
    // Whoever went away before the decision was recorded has been announced already.
    if (response.destroyed || exchange.request.socket.destroyed) queueMicrotask(() => this.#close(false))
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
      ...headers,
    })
    response.flushHeaders()
    this.#timers = [
      setInterval(() => this.write(KEEP_ALIVE), keepAliveMilliseconds).unref(),
      setTimeout(() => this.end(), streamMilliseconds).unref(),
    ]
    if (hold !== undefined) {
      hold.onExhausted = () => {
        this.#code = 'limit_bytes'
        this.end()
      }
    }
    this.write(utf8(`event: endpoint\ndata: ${endpoint}\n\n`))
  }

  get authorized(): Authorized<unknown> {
    return this.#options.authorized
  }

  get server(): string {
    return this.#options.server
  }

  /** What opened it: an answer that is written onto it lasts as long as its connection. */
  get request(): IncomingMessage {
    return this.#options.exchange.request
  }

  get over(): boolean {
    return this.#over
  }

  /** Whoever its connection says is on the other end: others have no part in it. */
  isOf({ connection }: Exchange): boolean {
    const id = connection.certificate?.spiffeId?.uri
    return id !== undefined && id === this.#options.exchange.connection.certificate?.spiffeId?.uri
  }

  /** Whole events. A caller that does not read is not waited for. */
  write(bytes: Uint8Array): boolean {
    const { exchange, unreadBytes, hold } = this.#options
    const { response } = exchange
    if (this.#over || response.writableEnded) return true
    this.#bytes += bytes.length
    hold?.sent(bytes.length)
    const goesOn = response.write(bytes)
    if (response.writableLength > unreadBytes) response.destroy()
    return goesOn
  }

  /** Answers that are under way on it end with it. */
  carry(answer: EventResponse): void {
    if (this.#over) answer.abandon()
    else this.#answers.add(answer)
  }

  carried(answer: EventResponse): void {
    this.#answers.delete(answer)
  }

  end(): void {
    const { response } = this.#options.exchange
    if (!response.writableEnded) response.end()
  }

  withdraw(denial: Denial): void {
    this.#denial ??= denial
    this.end()
  }

  forbid(denial: Denial): void {
    this.withdraw(denial)
  }

  #close(finished: boolean): void {
    if (this.#over) return
    this.#over = true
    const { times, hold, onEnd } = this.#options
    times.mark('closed')
    for (const timer of this.#timers) clearTimeout(timer)
    for (const answer of this.#answers) answer.abandon()
    hold?.release()
    const code = this.#denial?.code ?? this.#code
    onEnd({
      status: code !== undefined ? 'failed' : finished ? 'completed' : 'cancelled',
      http: 200,
      bytes: this.#bytes,
      milliseconds: Math.round((times.closed - times.decided) * 1000) / 1000,
      ...(code === undefined ? {} : { code }),
      ...(this.#denial === null ? {} : { explanation: this.#denial.explanation }),
    })
  }
}
