/**
 * One session with a server that sends everything on one stream, whatever it answers: a process's standard output, or the
 * events of HTTP+SSE. Answers are matched to requests by id.
 */

import { errorBody } from '@doorward/core'
import type { JsonObject, Principal, RequestId, ServerMessage } from '@doorward/core'
import { cancellation, denialRow, idKey, judgeTraffic, messageEvent, refersTo } from '@doorward/enforcement'
import type { DenialCode, Permit, McpCall, ServerTraffic, TrafficOptions, McpSession } from '@doorward/enforcement'
import { Backlog } from './backlog.ts'
import { isOfCredential } from './server-credential.ts'
import type { Reply, UpstreamLimits, UpstreamSession } from './upstream.ts'

/** The way to one session's server and back. */
export interface Channel {
  /** Sends one message; false when it takes no more. What is refused later is told with the id of the request. */
  write(message: Uint8Array, id: RequestId | null): boolean
  pause(): void
  resume(): void
  /** Lets the server go. */
  stop(): void
  /** Resolves when it has gone. */
  readonly gone: Promise<void>
}

export interface ChannelEvents {
  readonly onMessage: (message: Uint8Array) => void
  /** The request did not get there; null for what has no id. */
  readonly onRefused: (id: RequestId | null, code: DenialCode, reason: string) => void
  /** What of our credentials it was opened with, or the request sent with. */
  readonly onUsed: (id: RequestId | null, use: JsonObject) => void
  /** It is over, or never began: why, for the operator. */
  readonly onExit: (code: DenialCode, reason: string) => void
}

export type OpenChannel = (events: ChannelEvents, principal: Principal | null) => Channel

export interface DuplexSessionOptions {
  readonly limits: UpstreamLimits
  readonly traffic: TrafficOptions
  /** After this an answer that has not come yet becomes an event stream, which keeps the connection alive. */
  readonly patienceMilliseconds: number
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  readonly onFailure: (reason: string) => void
  /** Told of credentials that were used when no call was there to tell of it. */
  readonly onOwnUse: (use: JsonObject, principal: Principal | null) => void
}

/** One caller's wait for the answer to one request. */
interface Waiter {
  readonly id: RequestId
  /** Key of the request's progress token. */
  readonly progress: string | null
  readonly reply: Reply
  readonly patience: NodeJS.Timeout
}

/** Messages kept for a stream that is not open yet. */
const QUEUE_MESSAGES = 256
const QUEUE_BYTES = 128 * 1024
/** Progress, logs and whatever else is no answer. */
const UNASKED_PER_SECOND = 2000
/** A cancelled request may still be answered; after this its stream ends without. */
const CANCEL_GRACE = 1000

export class DuplexSession implements UpstreamSession {
  readonly #session: McpSession
  readonly #options: DuplexSessionOptions
  readonly #channel: Channel
  readonly #waiters = new Map<string, Waiter>()
  #stream: Reply | null = null
  #queue: Uint8Array[] = []
  #queued = 0
  /** Messages are delivered in the order in which the server wrote them. */
  #order: Promise<void> | null = null
  #ended = false
  #crashed = false
  readonly #backlog: Backlog
  #usedAt: number
  /** Messages of the second that nobody has asked for. */
  #unasked = 0
  #second = 0

  constructor(session: McpSession, options: DuplexSessionOptions, open: OpenChannel) {
    this.#usedAt = options.monotonic()
    this.#session = session
    this.#options = options
    const events: ChannelEvents = {
      onMessage: (message) => this.#receive(message),
      onRefused: (id, code, reason) => this.#refused(id, code, reason),
      onUsed: (id, use) => this.#used(id, use),
      onExit: (code, reason) => this.#fail(code, reason),
    }
    this.#channel = open(events, session.identified.principal)
    this.#backlog = new Backlog(this.#channel)
  }

  /** Resolves when the server has been let go. */
  get gone(): Promise<void> {
    return this.#channel.gone
  }

  /** The server has gone, or had to be let go, by what it did itself. */
  get crashed(): boolean {
    return this.#crashed
  }

  /** Ends the session when nothing has been asked of it, and nothing is open, since `before`. */
  endIfIdle(before: number): void {
    if (this.#session.open === 0 && this.#usedAt < before) this.#session.end()
  }

  forward(permit: Permit<McpCall>, reply: Reply): void {
    const { body, call } = permit.use().authorized.classified
    const { message } = call.detail
    if (this.#ended) return reply.fail('upstream_unavailable', 'the server of this session has gone')
    this.#usedAt = this.#options.monotonic()
    reply.onClose(() => {
      this.#usedAt = this.#options.monotonic()
    })
    switch (message.kind) {
      case 'request':
        this.#await(message.id, message.progressToken, reply)
        if (call.detail.opens) this.#boundHandshake(reply)
        this.#send(body, reply, message.id)
        return
      case 'response':
        this.#session.toClient.delete(idKey(message.id))
        if (this.#send(body, reply)) reply.status(202)
        return
      case 'notification':
        if (!this.#send(body, reply)) return
        reply.status(202)
        if (message.method === 'notifications/cancelled' && message.refersTo !== undefined)
          this.#cancelled(message.refersTo)
        return
      case 'session-operation':
        return message.operation === 'stream' ? this.#openStream(reply) : this.#close(reply)
    }
  }

  cancel(id: RequestId): void {
    if (!this.#ended) this.#channel.write(cancellation(id), null)
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#channel.stop()
    this.#settleAll((waiter) => failWaiter(waiter, 'session_unknown', 'the session has ended'))
    this.#stream?.end()
  }

  #send(body: Uint8Array, reply: Reply, id: RequestId | null = null): boolean {
    if (this.#channel.write(body, id)) return true
    reply.fail('upstream_unavailable', 'the server does not read what it is sent')
    return false
  }

  #await(id: RequestId, progressToken: RequestId | undefined, reply: Reply): void {
    const { patienceMilliseconds } = this.#options
    const patience = setTimeout(() => reply.stream(), patienceMilliseconds).unref()
    const progress = progressToken === undefined ? null : idKey(progressToken)
    this.#waiters.set(idKey(id), { id, progress, reply, patience })
    // Legacy: the caller's going cancels nothing; the answer then finds nobody.
    reply.onClose(() => this.#forget(id))
  }

  /** Calls may take long, a handshake may not: whoever does not answer it is no MCP server. */
  #boundHandshake(reply: Reply): void {
    const timer = setTimeout(
      () => this.#fail('upstream_timeout', 'it did not answer initialize in time'),
      this.#options.limits.responseMilliseconds,
    )
    reply.onClose(() => clearTimeout(timer))
  }

  #forget(id: RequestId): Waiter | undefined {
    const waiter = this.#waiters.get(idKey(id))
    if (waiter === undefined) return undefined
    clearTimeout(waiter.patience)
    this.#waiters.delete(idKey(id))
    return waiter
  }

  #settleAll(settle: (waiter: Waiter) => void): void {
    for (const waiter of this.#waiters.values()) {
      this.#forget(waiter.id)
      settle(waiter)
    }
  }

  #cancelled(id: RequestId): void {
    setTimeout(() => {
      const waiter = this.#forget(id)
      if (waiter === undefined) return
      waiter.reply.stream()
      waiter.reply.end()
    }, CANCEL_GRACE).unref()
  }

  #openStream(reply: Reply): void {
    if (this.#stream !== null && !this.#stream.closed) return reply.status(409)
    this.#stream = reply
    reply.stream()
    for (const event of this.#queue) void reply.send(event)
    this.#queue = []
    this.#queued = 0
  }

  #close(reply: Reply): void {
    reply.status(200)
    this.#session.end()
  }

  #receive(line: Uint8Array): void {
    const traffic = judgeTraffic(line, this.#session, this.#options.traffic)
    const before = this.#order
    if (before === null && !(traffic instanceof Promise)) {
      const sending = this.#deliver(traffic)
      if (sending !== null) this.#follow(sending, line.length)
      return
    }
    this.#follow(
      (before ?? Promise.resolve()).then(async () => this.#deliver(await traffic)),
      line.length,
    )
  }

  /** What comes meanwhile waits for it, and beyond a bound at its server. */
  #follow(delivering: Promise<void | null>, bytes: number): void {
    this.#backlog.take(bytes)
    const mine = delivering
      .catch(() => this.#fail('upstream_invalid', 'a message could not be delivered'))
      .then(() => this.#backlog.give(bytes))
    this.#order = mine
    void mine.then(() => {
      if (this.#order === mine) this.#order = null
    })
  }

  /** Null when nothing has to be waited for. One caller's slow reading stops its own server and nobody else's. */
  #deliver(traffic: ServerTraffic): Promise<void> | null {
    if (this.#ended) return null
    if ((traffic.kind === 'drop' || traffic.answers === null) && this.#isFlood()) {
      this.#fail('upstream_invalid', 'it sends more messages than anybody can have asked for')
      return null
    }
    if (traffic.kind === 'drop') {
      if (traffic.spoilt) this.#fail('upstream_invalid', 'it sent a message that is not accepted')
      else if (traffic.reply !== null) this.#channel.write(traffic.reply, null)
      return null
    }
    if (traffic.answers !== null) return this.#answer(traffic.answers.id, traffic)
    const event = messageEvent(traffic.bytes)
    const reply = this.#streamFor(traffic.message)
    if (reply === null) {
      this.#keep(event)
      return null
    }
    if (traffic.redacted > 0) reply.redacted(traffic.redacted)
    reply.stream()
    return reply.send(event)
  }

  /** What a server sends by itself costs all of us, whoever reads it. */
  #isFlood(): boolean {
    const second = Math.floor(this.#options.monotonic() / 1000)
    if (second !== this.#second) this.#unasked = 0
    this.#second = second
    return ++this.#unasked > UNASKED_PER_SECOND
  }

  #answer(id: RequestId, traffic: Extract<ServerTraffic, { kind: 'pass' }>): Promise<void> | null {
    const waiter = this.#forget(id)
    if (waiter === undefined) return null
    const { reply } = waiter
    if (traffic.failure !== null) reply.note(traffic.failure)
    if (traffic.redacted > 0) reply.redacted(traffic.redacted)
    if (reply.started) return reply.send(messageEvent(traffic.bytes)).then(() => reply.end())
    reply.json(200, traffic.bytes)
    return null
  }

  /** The request that the message belongs to, else the session's stream, else any stream that is open already. */
  #streamFor(message: ServerMessage): Reply | null {
    const reference = refersTo(message)
    const key = reference === undefined ? undefined : idKey(reference)
    const waiters = [...this.#waiters.values()]
    const related = waiters.find(({ progress }) => progress === key)
    if (related !== undefined) return related.reply
    if (this.#stream !== null && !this.#stream.closed) return this.#stream
    return (waiters.find(({ reply }) => reply.started) ?? waiters[0])?.reply ?? null
  }

  #keep(event: Uint8Array): void {
    if (this.#queue.length >= QUEUE_MESSAGES || this.#queued + event.length > QUEUE_BYTES) return
    this.#queue.push(event)
    this.#queued += event.length
  }

  /** What a session begins with is told with the request that it begins with. */
  #used(id: RequestId | null, use: JsonObject): void {
    const [first] = this.#waiters.values()
    const waiter = id === null ? first : this.#waiters.get(idKey(id))
    if (waiter === undefined || waiter.reply.closed)
      return this.#options.onOwnUse(use, this.#session.identified.principal)
    waiter.reply.used(use)
  }

  #refused(id: RequestId | null, code: DenialCode, reason: string): void {
    if (this.#ended) return
    this.#options.onFailure(reason)
    const waiter = id === null ? undefined : this.#forget(id)
    if (waiter === undefined) return
    this.#session.answered(waiter.id)
    failWaiter(waiter, code, reason)
  }

  /** The end of the server and of the session: what waits is told, nothing of it is lost in silence. */
  #fail(code: DenialCode, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#crashed = !isOfCredential(code)
    this.#options.onFailure(reason)
    this.#channel.stop()
    this.#settleAll((waiter) => failWaiter(waiter, code, reason))
    this.#stream?.end()
    this.#session.end()
  }
}

/** A stream cannot be taken up again where the server is gone: its end is an error message. */
export function failWaiter({ id, reply }: Pick<Waiter, 'id' | 'reply'>, code: DenialCode, reason: string): void {
  if (!reply.started) return reply.fail(code, reason)
  const { rpc, text } = denialRow(code)
  reply.note(code)
  reply.write(messageEvent(errorBody(id, rpc, text, { code })))
  reply.end()
}
