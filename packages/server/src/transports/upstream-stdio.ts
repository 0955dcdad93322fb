/** Servers behind standard input and output: one process per session, answers matched to requests by id. */

import { errorBody } from '@doorward/core'
import type { RequestId, ServerMessage } from '@doorward/core'
import { denialRow } from '@doorward/enforcement'
import type { DenialCode, Permit } from '@doorward/enforcement'
import type { McpCall } from './mcp-call.ts'
import { judgeTraffic, refersTo } from './server-traffic.ts'
import type { ServerTraffic, TrafficOptions } from './server-traffic.ts'
import { idKey } from './session.ts'
import type { McpSession } from './session.ts'
import { messageEvent } from './sse.ts'
import { StdioProcess } from './stdio.ts'
import type { StdioCommand } from './stdio.ts'
import { cancellation } from './upstream.ts'
import type { Reply, Upstream, UpstreamLimits, UpstreamSession } from './upstream.ts'

export interface StdioUpstreamOptions {
  readonly name: string
  readonly command: StdioCommand
  readonly limits: UpstreamLimits
  readonly traffic: TrafficOptions
  /** After this an answer that has not come yet becomes an event stream, which keeps the connection alive. */
  readonly patienceMilliseconds: number
  readonly onLog: (text: string) => void
  readonly onFailure: (reason: string) => void
}

/** Starts nothing before the first session. */
export function openStdioUpstream(options: StdioUpstreamOptions): Upstream {
  const processes = new Set<StdioProcess>()
  return {
    name: options.name,
    transport: 'stdio',
    open(session) {
      return new StdioSession(session, options, (process) => {
        processes.add(process)
        void process.gone.then(() => processes.delete(process))
      })
    },
    async close() {
      for (const process of processes) process.stop()
      await Promise.all([...processes].map((process) => process.gone))
    },
  }
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
const QUEUE_BYTES = 1024 * 1024
/** A cancelled request may still be answered; after this its stream ends without. */
const CANCEL_GRACE = 1000

class StdioSession implements UpstreamSession {
  readonly #session: McpSession
  readonly #options: StdioUpstreamOptions
  readonly #process: StdioProcess
  readonly #waiters = new Map<string, Waiter>()
  #stream: Reply | null = null
  #queue: Uint8Array[] = []
  #queued = 0
  /** Messages are delivered in the order in which the server wrote them. */
  #order: Promise<void> | null = null
  #ended = false

  constructor(session: McpSession, options: StdioUpstreamOptions, onStart: (process: StdioProcess) => void) {
    this.#session = session
    this.#options = options
    this.#process = new StdioProcess(options.command, options.limits.messageBytes, {
      onLine: (line) => this.#receive(line),
      onLog: options.onLog,
      onExit: (reason) => this.#fail('upstream_unavailable', reason),
    })
    onStart(this.#process)
  }

  forward(permit: Permit<McpCall>, reply: Reply): void {
    const { body, call } = permit.use().authorized.classified
    const { message } = call.detail
    if (this.#ended) return reply.fail('upstream_unavailable', 'the process of this session has ended')
    switch (message.kind) {
      case 'request':
        this.#await(message.id, message.progressToken, reply)
        if (call.detail.opens) this.#boundHandshake(reply)
        this.#send(body, reply)
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
    if (!this.#ended) this.#process.write(cancellation(id))
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#process.stop()
    this.#settleAll((waiter) => failWaiter(waiter, 'upstream_unavailable', 'the session has ended'))
    this.#stream?.end()
  }

  #send(body: Uint8Array, reply: Reply): boolean {
    if (this.#process.write(body)) return true
    reply.fail('upstream_unavailable', 'the process does not read its input')
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
    for (const event of this.#queue) reply.write(event)
    this.#queue = []
    this.#queued = 0
  }

  #close(reply: Reply): void {
    reply.status(200)
    this.#session.end()
  }

  #receive(line: Uint8Array): void {
    const traffic = judgeTraffic(line, this.#session, this.#options.traffic)
    if (this.#order === null && !(traffic instanceof Promise)) return this.#deliver(traffic)
    const before = this.#order ?? Promise.resolve()
    const mine = before
      .then(async () => this.#deliver(await traffic))
      .catch(() => this.#fail('upstream_invalid', 'a message could not be delivered'))
    this.#order = mine
    void mine.then(() => {
      if (this.#order === mine) this.#order = null
    })
  }

  #deliver(traffic: ServerTraffic): void {
    if (this.#ended) return
    if (traffic.kind === 'drop') {
      if (traffic.spoilt) return this.#fail('upstream_invalid', 'it sent a message that is not accepted')
      if (traffic.reply !== null) this.#process.write(traffic.reply)
      return
    }
    if (traffic.answers !== null) return this.#answer(traffic.answers.id, traffic)
    const event = messageEvent(traffic.bytes)
    const reply = this.#streamFor(traffic.message)
    if (reply === null) return this.#keep(event)
    reply.stream()
    if (!reply.write(event)) this.#waitFor(reply)
  }

  #answer(id: RequestId, traffic: Extract<ServerTraffic, { kind: 'pass' }>): void {
    const waiter = this.#forget(id)
    if (waiter === undefined) return
    const { reply } = waiter
    if (traffic.failure !== null) reply.note(traffic.failure)
    if (!reply.started) return reply.json(200, traffic.bytes)
    reply.write(messageEvent(traffic.bytes))
    reply.end()
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

  /** One caller's slow reading stops its own process and nobody else's. */
  #waitFor(reply: Reply): void {
    this.#process.pause()
    void reply.drained().then(() => this.#process.resume())
  }

  /** The end of the process and of the session: what waits is told, nothing of it is lost in silence. */
  #fail(code: DenialCode, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.onFailure(reason)
    this.#process.stop()
    this.#settleAll((waiter) => failWaiter(waiter, code, reason))
    this.#stream?.end()
    this.#session.end()
  }
}

/** A stream cannot be taken up again where the process is gone: its end is an error message. */
function failWaiter({ id, reply }: Waiter, code: DenialCode, reason: string): void {
  if (!reply.started) return reply.fail(code, reason)
  const { rpc, text } = denialRow(code)
  reply.note(code)
  reply.write(messageEvent(errorBody(id, rpc, text, { code })))
  reply.end()
}
