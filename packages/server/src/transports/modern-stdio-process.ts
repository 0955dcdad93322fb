/**
 * One process that answers requests of the modern era, of one caller and nobody else. What it sends is matched to the
 * request that it names; what names none reaches nobody.
 */

import { errorBody, isJsonObject, isRequestId, parseMessage, scanJson } from '@doorward/core'
import type { JsonObject, JsonValue, McpMessage, Principal, RequestId } from '@doorward/core'
import type { DenialCode, Permit, CallScope, McpCall, ServerTraffic, TrafficOptions } from '@doorward/enforcement'
import { Backlog } from './backlog.ts'
import { failWaiter } from './duplex-session.ts'
import type { Channel, ChannelEvents } from './duplex-session.ts'
import { isOfCredential } from './server-credential.ts'
import { cancellation, idKey, judgeTraffic, looksLikeObject, messageEvent } from '@doorward/enforcement'
import type { Reply } from './upstream.ts'

export interface ModernProcessOptions {
  readonly traffic: TrafficOptions
  readonly messageBytes: number
  /** After this an answer that has not come yet becomes an event stream, which keeps the connection alive. */
  readonly patienceMilliseconds: number
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  readonly onFailure: (reason: string) => void
  /** Told of credentials that were used when no call was there to tell of it. */
  readonly onOwnUse: (use: JsonObject, principal: Principal | null) => void
}

interface Waiter {
  readonly id: RequestId
  readonly progress: string | null
  readonly scope: CallScope
  readonly reply: Reply
  readonly patience: NodeJS.Timeout
}

/** Requests of one process that wait, and such as were given up and not answered. */
const WAITING = 256
const UNASKED_PER_SECOND = 2000
/** What names nobody is read as generously as what is judged. */
const LINE_LIMITS = { maxDepth: 64, maxKeys: 100_000, prototypeKeys: 'keep' } as const
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId'

export class ModernProcess {
  readonly #options: ModernProcessOptions
  readonly #channel: Channel
  readonly #waiters = new Map<string, Waiter>()
  readonly #tokens = new Map<string, Waiter>()
  /** Ids that are not free before the server has answered what nobody waits for any more. */
  readonly #givenUp = new Set<string>()
  /** Messages are delivered in the order in which the server wrote them. */
  #order: Promise<void> = Promise.resolve()
  #usedAt: number
  #ended = false
  #crashed = false
  readonly #backlog: Backlog
  #unasked = 0
  #second = 0

  constructor(options: ModernProcessOptions, open: (events: ChannelEvents) => Channel) {
    this.#options = options
    this.#usedAt = options.monotonic()
    this.#channel = open({
      onMessage: (message) => this.#receive(message),
      onRefused: () => undefined,
      onUsed: (_id, use) => this.#used(use),
      onExit: (code, reason) => this.#fail(code, reason),
    })
    this.#backlog = new Backlog(this.#channel)
  }

  get gone(): Promise<void> {
    return this.#channel.gone
  }

  get crashed(): boolean {
    return this.#crashed
  }

  /** False when it already has a request by that id or token: two clients of one caller know nothing of each other. */
  takes(id: RequestId, progressToken: RequestId | undefined): boolean {
    const key = idKey(id)
    if (this.#ended || this.#waiters.size >= WAITING || this.#waiters.has(key) || this.#givenUp.has(key)) return false
    return progressToken === undefined || !this.#tokens.has(idKey(progressToken))
  }

  forward(permit: Permit<McpCall>, reply: Reply): void {
    const { body, call } = permit.use().authorized.classified
    const { scope, message, restored } = call.detail
    if (message.kind !== 'request') return reply.fail('internal', 'only requests are of the modern era')
    const { id, progressToken } = message
    const waiter: Waiter = {
      id,
      progress: progressToken === undefined ? null : idKey(progressToken),
      scope,
      reply,
      patience: setTimeout(() => reply.stream(), this.#options.patienceMilliseconds).unref(),
    }
    this.#usedAt = this.#options.monotonic()
    this.#waiters.set(idKey(id), waiter)
    if (waiter.progress !== null) this.#tokens.set(waiter.progress, waiter)
    reply.onClose(() => this.#left(waiter))
    if (this.#channel.write(restored?.body ?? body, id)) return
    this.#forget(waiter)
    reply.fail('upstream_unavailable', 'the server does not read what it is sent')
  }

  /** Ends when nothing has been asked of it since `before`. */
  endIfIdle(before: number): void {
    if (this.#waiters.size === 0 && this.#usedAt < before) this.end()
  }

  /** What a process begins with is told with the request that it begins with. */
  #used(use: JsonObject): void {
    const [first] = this.#waiters.values()
    if (first === undefined || first.reply.closed) this.#options.onOwnUse(use, null)
    else first.reply.used(use)
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#channel.stop()
    this.#failAll('upstream_unavailable', 'the process has been ended')
  }

  /** The caller has gone, or may not have the answer: in this era that is the cancellation. */
  #left(waiter: Waiter): void {
    this.#usedAt = this.#options.monotonic()
    if (!this.#forget(waiter) || this.#ended) return
    this.#givenUp.add(idKey(waiter.id))
    this.#channel.write(cancellation(waiter.id), null)
    if (this.#givenUp.size > WAITING) this.#fail('upstream_invalid', 'it does not answer what is cancelled')
  }

  #forget(waiter: Waiter): boolean {
    clearTimeout(waiter.patience)
    if (waiter.progress !== null && this.#tokens.get(waiter.progress) === waiter) this.#tokens.delete(waiter.progress)
    return this.#waiters.get(idKey(waiter.id)) === waiter && this.#waiters.delete(idKey(waiter.id))
  }

  #receive(line: Uint8Array): void {
    const scan = scanJson(line, { ...LINE_LIMITS, maxBytes: this.#options.messageBytes })
    // Perhaps the answer that somebody waits for: whose it is, nobody can tell.
    if (!scan.ok && looksLikeObject(line))
      return this.#fail('upstream_invalid', 'it sent a message that is not accepted')
    const message = scan.ok ? parseMessage(scan.value) : null
    const waiter = message === null ? null : this.#waiterOf(message)
    if (waiter === null || message?.kind === 'notification' || message?.kind === 'malformed') {
      if (this.#isFlood())
        return this.#fail('upstream_invalid', 'it sends more messages than anybody can have asked for')
    }
    if (waiter === null) return this.#unmatched(message)
    const traffic = judgeTraffic(line, waiter.scope, this.#options.traffic)
    const status = message?.kind === 'error' ? statusOf(message.rpcCode) : 200
    this.#backlog.take(line.length)
    this.#order = this.#order
      .then(async () => this.#deliver(waiter, await traffic, status))
      .catch(() => this.#fail('upstream_invalid', 'a message could not be delivered'))
      .then(() => this.#backlog.give(line.length))
  }

  /** Requests of servers do not exist in this era. */
  #unmatched(message: Parsed | null): void {
    if (message === null) return
    if (message.kind === 'request') this.#channel.write(errorBody(message.id, -32601, 'method not found'), null)
    else if ((message.kind === 'result' || message.kind === 'error') && message.id !== null)
      this.#givenUp.delete(idKey(message.id))
  }

  #waiterOf(message: Parsed): Waiter | null {
    switch (message.kind) {
      case 'result':
      case 'error':
      case 'malformed':
        return message.id === null ? null : (this.#waiters.get(idKey(message.id)) ?? null)
      case 'notification':
        return this.#waiterNamed(message.params)
      case 'request':
        return null
    }
  }

  /** By progress token, subscription or request; log messages name nothing, and are then whose request is the only one. */
  #waiterNamed(params: JsonObject | undefined): Waiter | null {
    const token = params?.['progressToken']
    if (isRequestId(token)) return this.#tokens.get(idKey(token)) ?? null
    const meta = params?.['_meta']
    const named = (isJsonObject(meta) ? meta[SUBSCRIPTION] : undefined) ?? params?.['requestId']
    if (isRequestId(named)) return this.#waiters.get(idKey(named)) ?? null
    const [only, another] = this.#waiters.values()
    return another === undefined ? (only ?? null) : null
  }

  /** One caller's slow reading stops its own process and nobody else's. */
  async #deliver(waiter: Waiter, traffic: ServerTraffic, status: number): Promise<void> {
    const { reply } = waiter
    // It may have been given up after its answer had come.
    if (traffic.kind === 'pass' && traffic.answers !== null) this.#givenUp.delete(idKey(waiter.id))
    if (this.#ended || reply.closed) return
    if (traffic.kind === 'drop') {
      if (traffic.spoilt) this.#fail('upstream_invalid', 'it sent a message that is not accepted')
      return
    }
    if (traffic.redacted > 0) reply.redacted(traffic.redacted)
    const isEnd =
      traffic.answers !== null || (traffic.message.kind === 'notification' && isCancelled(traffic.message.method))
    if (isEnd) {
      this.#forget(waiter)
      if (traffic.failure !== null) reply.note(traffic.failure)
      if (!reply.started && traffic.answers !== null)
        return reply.json(traffic.failure === null ? status : 200, traffic.bytes)
    }
    reply.stream()
    await reply.send(messageEvent(traffic.bytes))
    if (isEnd) reply.end()
  }

  #isFlood(): boolean {
    const second = Math.floor(this.#options.monotonic() / 1000)
    if (second !== this.#second) this.#unasked = 0
    this.#second = second
    return ++this.#unasked > UNASKED_PER_SECOND
  }

  #fail(code: DenialCode, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#crashed = !isOfCredential(code)
    this.#options.onFailure(reason)
    this.#channel.stop()
    this.#failAll(code, reason)
  }

  #failAll(code: DenialCode, reason: string): void {
    for (const waiter of this.#waiters.values()) {
      this.#forget(waiter)
      failWaiter(waiter, code, reason)
    }
  }
}

type Parsed = McpMessage | Exclude<ReturnType<typeof parseMessage>, McpMessage>

function isCancelled(method: string): boolean {
  return method === 'notifications/cancelled'
}

/** The HTTP status that a server of the modern era would answer with (2026-07-28 basic/transports). */
function statusOf(rpcCode: number): number {
  if (rpcCode === -32601) return 404
  return BAD_REQUEST.has(rpcCode) ? 400 : 200
}

const BAD_REQUEST: ReadonlySet<number> = new Set([-32700, -32600, -32020, -32021, -32022])

/** The first answer to a question of our own; null for whatever else is printed. */
export function answerIn(line: Uint8Array, maxBytes: number): JsonValue | null {
  const scan = scanJson(line, { ...LINE_LIMITS, maxBytes })
  if (!scan.ok) return null
  const { kind } = parseMessage(scan.value)
  return kind === 'result' || kind === 'error' ? scan.value : null
}
