/** One HTTP answer of a service, and its outcome on the record. */

import type { JsonObject } from '@doorward/core'
import { closeAfterAnswer, deny, drainedOf, sendRefusal } from '@doorward/enforcement'
import type {
  Authorized,
  CallHold,
  Denial,
  DenialCode,
  EntryReference,
  Exchange,
  OpenCall,
  Outcome,
  RefusalForm,
  StageTimes,
} from '@doorward/enforcement'
import type { ReplyEnd } from './upstream.ts'

export interface BackendReplyOptions {
  readonly exchange: Exchange
  readonly authorized: Authorized<unknown>
  readonly entry: EntryReference
  readonly times: StageTimes
  readonly hold?: CallHold
  /** Of refusals after the decision; plain by default. */
  readonly form?: RefusalForm
  /** Called once, at the end. */
  readonly onOutcome: (outcome: Outcome) => void
}

export class BackendReply implements OpenCall {
  readonly #options: BackendReplyOptions
  readonly #listeners: ((end: ReplyEnd) => void)[] = []
  #bytes = 0
  #http = 0
  #attempts = 1
  #redacted = 0
  readonly #uses = new Map<string, JsonObject>()
  #code: DenialCode | undefined
  #explanation: string | undefined
  #end: ReplyEnd | null = null

  constructor(options: BackendReplyOptions) {
    this.#options = options
    const { exchange, hold } = options
    if (hold !== undefined)
      hold.onExhausted = () => this.fail('limit_bytes', 'the answer is longer than the quota of its caller')
    exchange.response.once('close', () => this.#close(exchange.response.writableFinished))
    if (exchange.response.destroyed || exchange.request.socket.destroyed) queueMicrotask(() => this.#close(false))
  }

  get authorized(): Authorized<unknown> {
    return this.#options.authorized
  }

  get closed(): boolean {
    return this.#end !== null || this.#options.exchange.response.writableEnded
  }

  get started(): boolean {
    return this.#options.exchange.response.headersSent
  }

  /** Begins the answer; its body follows by `write` and `end`. */
  begin(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.closed || this.started) return
    const { exchange, entry, times } = this.#options
    times.mark('answered')
    this.#http = status
    if (!exchange.request.complete) closeAfterAnswer(exchange)
    exchange.response.writeHead(status, {
      ...headers,
      'Cache-Control': 'no-store',
      'Doorward-Code': 'allowed',
      'Doorward-Decision': entry.toString(),
    })
    exchange.response.flushHeaders()
  }

  /** False when the caller reads too slowly, then wait for `drained`. */
  write(bytes: Uint8Array): boolean {
    if (this.closed) return true
    this.#bytes += bytes.length
    this.#options.hold?.sent(bytes.length)
    return this.closed || this.#options.exchange.response.write(bytes)
  }

  drained(): Promise<void> {
    return this.closed ? Promise.resolve() : drainedOf(this.#options.exchange)
  }

  end(): void {
    if (!this.closed) this.#options.exchange.response.end()
  }

  /** A refusal after the decision. An answer that has begun is broken off, so that nobody takes it for whole. */
  fail(code: DenialCode, explanation: string, retryAfterSeconds: number | null = null): void {
    this.#refuse(deny(code, explanation, { retryAfterSeconds }))
  }

  withdraw(denial: Denial): void {
    this.#refuse(denial)
  }

  forbid(denial: Denial): void {
    this.#refuse(denial)
  }

  #refuse(denial: Denial): void {
    if (this.closed) return
    const { exchange, authorized, entry, times, form } = this.#options
    this.#code = denial.code
    this.#explanation = denial.explanation
    if (this.started) {
      exchange.response.destroy()
      return this.#close(true)
    }
    times.mark('answered')
    const { rpcId } = authorized.classified.call
    sendRefusal(exchange, { refused: true, denial: { ...denial, rpcId }, entry }, form)
    this.#http = exchange.response.statusCode
  }

  used(use: JsonObject): void {
    this.#uses.set(JSON.stringify(use), use)
  }

  retried(): void {
    this.#attempts++
  }

  /** So many known secrets were taken out of the answer: for the outcome. */
  redacted(count: number): void {
    this.#redacted += count
  }

  onClose(listener: (end: ReplyEnd) => void): void {
    if (this.#end === null) this.#listeners.push(listener)
    else listener(this.#end)
  }

  #close(finished: boolean): void {
    if (this.#end !== null) return
    const { times, hold, onOutcome } = this.#options
    const failed = this.#code === undefined ? 'completed' : 'failed'
    const end: ReplyEnd = { status: finished ? failed : 'cancelled', code: this.#code, http: this.#http }
    this.#end = end
    times.mark('closed')
    hold?.release()
    onOutcome({
      status: end.status,
      http: this.#http,
      bytes: this.#bytes,
      milliseconds: Math.round((times.closed - times.decided) * 1000) / 1000,
      ...(this.#attempts === 1 ? {} : { attempts: this.#attempts }),
      ...(this.#redacted === 0 ? {} : { redacted: this.#redacted }),
      ...(this.#uses.size === 0 ? {} : { credentials: [...this.#uses.values()] }),
      ...(this.#code === undefined ? {} : { code: this.#code }),
      ...(this.#explanation === undefined ? {} : { explanation: this.#explanation }),
    })
    for (const listener of this.#listeners) listener(end)
  }
}
