/** One HTTP answer of the MCP endpoint: JSON, an event stream or a status, and its outcome on the record. */

import { deny, messageEvent, mostWaiting, refusalMessage, send, sendRefusal, writePart } from '@doorward/enforcement'
import type {
  Authorized,
  CallHold,
  Denial,
  DenialCode,
  EntryReference,
  Exchange,
  OpenCall,
  Outcome,
  ResultKeeper,
  StageTimes,
} from '@doorward/enforcement'
import type { JsonObject, RequestId } from '@doorward/core'
import { EventResponse } from './event-response.ts'
import type { Reply, ReplyEnd } from './upstream.ts'

export interface ReplyOptions {
  readonly exchange: Exchange
  /** What was asked, by whom, and the decision that allowed it. */
  readonly authorized: Authorized<unknown>
  readonly entry: EntryReference
  readonly rpcId: RequestId | undefined
  readonly modern: boolean
  /** The id to tell on the answer that opens a session. A stream begins before it is known whether the session will. */
  readonly sessionId: (streaming: boolean) => string | null
  readonly streamMilliseconds: number
  readonly keepAliveMilliseconds: number
  /** Of the call; is told when the answer begins and ends. */
  readonly times: StageTimes
  /** Called at once when the call is not allowed any more, before its answer ends. */
  readonly onForbidden: () => void
  /** Called once, at the end. */
  readonly onOutcome: (outcome: Outcome) => void
  /** What the call holds of its caller's quotas: released with its end. */
  readonly hold?: CallHold
  /** Shown what the server answers, where a rule keeps something of it. */
  readonly keeper: ResultKeeper | null
}

const KEEP_ALIVE = Buffer.from(': keep-alive\n\n')
const PART_BYTES = 16 * 1024

export class StreamableReply implements Reply, OpenCall {
  readonly #options: ReplyOptions
  readonly #startedAt: number
  #streamed = false
  readonly #listeners: ((end: ReplyEnd) => void)[] = []
  #bytes = 0
  #http = 0
  #code: DenialCode | undefined
  /** For the operator: why it failed. */
  #explanation: string | undefined
  /** What was allowed is not any more. */
  #forbidden = false
  #redacted = 0
  #attempts = 1
  readonly #uses = new Map<string, JsonObject>()
  #end: ReplyEnd | null = null
  #timers: NodeJS.Timeout[] = []
  /** Until what has been sent last is on its way to the caller. */
  #sending: Promise<void> | null = null
  /** A part of an event has been written, and not all of it. */
  #isMidway = false

  constructor(options: ReplyOptions) {
    this.#options = options
    this.#startedAt = options.times.decided
    if (options.hold !== undefined) {
      options.hold.onExhausted = () => this.fail('limit_bytes', 'the answer is longer than the quota of its caller')
    }
    const { response } = options.exchange
    response.once('close', () => this.#close(response.writableFinished))
    // Whoever went away before the decision was recorded has been announced already.
    if (response.destroyed || options.exchange.request.socket.destroyed) queueMicrotask(() => this.#close(false))
  }

  get authorized(): Authorized<unknown> {
    return this.#options.authorized
  }

  get closed(): boolean {
    return this.#end !== null || this.#options.exchange.response.writableEnded
  }

  /** The answer is, or was, an event stream. */
  get streamed(): boolean {
    return this.#streamed
  }

  get started(): boolean {
    return this.#options.exchange.response.headersSent
  }

  json(status: number, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): void {
    if (!this.closed && !this.started) this.#options.keeper?.whole(body)
    this.#complete(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers }, body)
  }

  status(status: number, headers: Readonly<Record<string, string>> = {}): void {
    this.#complete(status, headers, '')
  }

  stream(): void {
    const { response } = this.#options.exchange
    if (this.closed || response.headersSent) return
    this.#begins()
    this.#streamed = true
    this.#http = 200
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
      ...this.#ownHeaders(true),
    })
    response.flushHeaders()
    const { keepAliveMilliseconds, streamMilliseconds } = this.#options
    this.#timers = [
      setInterval(() => this.#keepAlive(), keepAliveMilliseconds).unref(),
      setTimeout(() => this.#outlived(), streamMilliseconds).unref(),
    ]
  }

  /** A request without its answer so far; the session's own stream just begins again. */
  #outlived(): void {
    if (this.#options.rpcId !== undefined) this.note('upstream_timeout')
    this.end()
  }

  write(bytes: Uint8Array): void {
    if (this.closed) return
    const { response } = this.#options.exchange
    if (this.#isStuck) return void response.destroy()
    this.#count(bytes)
    this.#options.keeper?.part(bytes)
    response.write(bytes)
  }

  async send(bytes: Uint8Array): Promise<void> {
    const before = this.#sending
    const mine = before === null ? this.#sendParts(bytes) : before.then(() => this.#sendParts(bytes))
    this.#sending = mine
    await mine
    if (this.#sending === mine) this.#sending = null
  }

  /** Bytes that wait for the caller in this process. */
  get unread(): number {
    return this.#options.exchange.response.writableLength
  }

  async #sendParts(bytes: Uint8Array): Promise<void> {
    if (this.closed) return
    const { exchange, keeper } = this.#options
    this.#count(bytes)
    keeper?.part(bytes)
    // Others write to the stream of an older client as well: between events, never inside of one.
    const size = exchange.response instanceof EventResponse ? bytes.length : PART_BYTES
    for (let at = 0; at < bytes.length && !this.closed; at += size) {
      this.#isMidway = at + size < bytes.length
      await writePart(exchange, bytes.subarray(at, at + size))
    }
  }

  /** Nothing can be told at once any more: an event is on its way, or the caller does not take what is. */
  get #isStuck(): boolean {
    return this.#isMidway || this.unread > mostWaiting
  }

  /** A caller that is being sent something needs no sign of life. */
  #keepAlive(): void {
    if (this.closed || this.#isMidway || this.unread > 0) return
    this.#count(KEEP_ALIVE)
    this.#options.exchange.response.write(KEEP_ALIVE)
  }

  #count({ length }: Uint8Array): void {
    this.#bytes += length
    this.#options.hold?.sent(length)
  }

  end(): void {
    if (!this.closed) this.#options.exchange.response.end()
  }

  fail(code: DenialCode, explanation: string, retryAfterSeconds: number | null = null): void {
    this.refuse(deny(code, explanation, { retryAfterSeconds }))
  }

  refuse(found: Denial): void {
    if (this.closed) return
    this.#code = found.code
    this.#explanation = found.explanation
    if (this.started) return this.end()
    this.#begins()
    const { exchange, entry, rpcId, modern, authorized } = this.#options
    const denial = { ...found, rpcId }
    // A model passes on what its person has to do; any other failure is its host's business.
    const toolCall = found.consent !== null && authorized.classified.call.action.name === 'tools/call'
    sendRefusal(exchange, { refused: true, denial, entry }, { rpc: true, modern, toolCall })
    this.#http = this.#options.exchange.response.statusCode
  }

  withdraw({ code, explanation }: Denial): void {
    this.fail(code, explanation)
  }

  /** The caller is told as if it had just asked, in a stream by a last message; whoever does not read is not waited for. */
  forbid(denial: Denial): void {
    if (this.closed) return
    const { exchange, entry, rpcId, modern, onForbidden } = this.#options
    this.#code = denial.code
    this.#explanation = denial.explanation
    this.#forbidden = true
    onForbidden()
    const form = { rpc: true, modern, toolCall: denial.action?.name === 'tools/call' }
    const refusal = { refused: true, denial: { ...denial, rpcId }, entry } as const
    if (!this.started) {
      this.#begins()
      sendRefusal(exchange, refusal, form)
      this.#http = exchange.response.statusCode
    } else if (this.#isStuck) exchange.response.destroy()
    else {
      if (rpcId !== undefined) this.write(messageEvent(refusalMessage(refusal, form)))
      this.end()
    }
  }

  /** The answer told the caller of a failure in a message of its own. */
  note(code: DenialCode): void {
    // What forbade it is why it ended, whatever its server says of that.
    if (!this.#forbidden) this.#code = code
  }

  used(use: JsonObject): void {
    this.#uses.set(JSON.stringify(use), use)
  }

  retried(): void {
    this.#attempts++
  }

  redacted(count: number): void {
    this.#redacted += count
  }

  onClose(listener: (end: ReplyEnd) => void): void {
    if (this.#end === null) this.#listeners.push(listener)
    else listener(this.#end)
  }

  #complete(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array | string): void {
    if (this.closed || this.started) return
    this.#begins()
    this.#http = status
    this.#bytes += body.length
    this.#options.hold?.sent(body.length)
    send(this.#options.exchange, status, { ...headers, ...this.#ownHeaders(false) }, body)
  }

  #begins(): void {
    this.#options.times.mark('answered')
  }

  #ownHeaders(streaming: boolean): Readonly<Record<string, string>> {
    const session = this.#options.sessionId(streaming)
    return {
      'Doorward-Code': 'allowed',
      'Doorward-Decision': this.#options.entry.toString(),
      ...(session === null ? {} : { 'Mcp-Session-Id': session }),
    }
  }

  #close(finished: boolean): void {
    if (this.#end !== null) return
    const status = this.#forbidden ? 'failed' : endOf(finished, this.#code)
    const end = { status, code: this.#code, http: this.#http }
    this.#end = end
    const { times } = this.#options
    times.mark('closed')
    this.#options.hold?.release()
    for (const timer of this.#timers) clearTimeout(timer)
    const result = this.#options.keeper?.taken() ?? null
    this.#options.onOutcome({
      status,
      http: this.#http,
      bytes: this.#bytes,
      milliseconds: Math.round((times.closed - this.#startedAt) * 1000) / 1000,
      ...(this.#attempts === 1 ? {} : { attempts: this.#attempts }),
      ...(this.#uses.size === 0 ? {} : { credentials: [...this.#uses.values()] }),
      ...(this.#code === undefined ? {} : { code: this.#code }),
      ...(this.#explanation === undefined ? {} : { explanation: this.#explanation }),
      ...(this.#redacted === 0 ? {} : { redacted: this.#redacted }),
      ...(result === null ? {} : { kept: { result } }),
    })
    for (const listener of this.#listeners) listener(end)
  }
}

function endOf(finished: boolean, code: DenialCode | undefined): Outcome['status'] {
  if (!finished) return 'cancelled'
  return code === undefined ? 'completed' : 'failed'
}
