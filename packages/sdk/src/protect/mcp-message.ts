/** One MCP message on its way to the handler: what it does to its session, in which form it goes, and what becomes of it. */

import type { ServerResponse } from 'node:http'
import { encodeMirrored } from '@doorward/core'
import { beginIn, cancellation, deny, idKey, LoneMessage, ModernRequest, pendingRequest } from '@doorward/enforcement'
import type {
  Call,
  Denial,
  Identified,
  McpCall,
  McpSession,
  PendingRequest,
  SessionTable,
  TrafficOptions,
} from '@doorward/enforcement'
import { McpAnswer } from './mcp-answer.ts'
import type { Answering, AskedMessage } from './surface.ts'

/** What the messages of one program share. */
export interface McpState {
  readonly sessions: SessionTable
  readonly traffic: TrafficOptions
  /** What the handler calls a session. */
  readonly names: WeakMap<McpSession, string>
  /** Messages of a session that are under way. */
  readonly underWay: WeakMap<McpSession, Set<McpMessage>>
  /** Answers that would never end by themselves. */
  readonly streams: Set<McpMessage>
  /** Whether the newest `initialize` that the handler has answered opened a session; null before the first. */
  opens: boolean | null
}

export interface McpMessageParts {
  readonly state: McpState
  readonly call: Call<McpCall>
  readonly identified: Identified
  readonly body: Uint8Array
}

const SESSION = 'mcp-session-id'
const SESSION_ID = /^[\x21-\x7e]{1,256}$/
const content = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

export class McpMessage implements AskedMessage {
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly withheld: readonly string[]
  readonly alone = false
  readonly #parts: McpMessageParts
  readonly #pending: PendingRequest | null
  #answer: McpAnswer | null = null
  #answering: Answering | null = null
  #begun = false
  /** The session is no more: its client has ended it, or the handler has forgotten it. */
  #isLast = false

  constructor(parts: McpMessageParts) {
    this.#parts = parts
    const { call, body } = parts
    const { restored, session, head } = call.detail
    this.body = restored?.body ?? body
    this.headers = {
      ...(head.method === 'POST' ? { 'content-type': 'application/json' } : {}),
      ...this.#sessionHeader(),
      ...(restored === null || restored.name === null ? {} : { 'mcp-name': encodeMirrored(restored.name) }),
    }
    // What is compressed cannot be judged.
    this.withheld = ['accept-encoding', SESSION, ...(session === null ? ['last-event-id'] : [])]
    this.#pending = pendingOf(parts)
  }

  /** Denials: those of `beginIn`. */
  permitted(): Denial | null {
    const { session, message } = this.#parts.call.detail
    if (session === null) return null
    const begun = beginIn(session, message, this.#pending)
    if (typeof begun === 'object') return begun
    this.#begun = true
    session.open++
    if (this.#isStream) session.streams++
    // The request of the handler that it answers waits no longer.
    if (message.kind === 'response') session.toClient.delete(idKey(message.id))
    this.#parts.state.sessions.touch(session)
    this.#underWay(session).add(this)
    return null
  }

  /** The session's own. */
  get #isStream(): boolean {
    const { message } = this.#parts.call.detail
    return message.kind === 'session-operation' && message.operation === 'stream'
  }

  #underWay(session: McpSession): Set<McpMessage> {
    const { underWay } = this.#parts.state
    const known = underWay.get(session)
    if (known !== undefined) return known
    const made = new Set<McpMessage>()
    underWay.set(session, made)
    session.attach({
      end: () => {
        for (const one of made) one.breakOff()
      },
    })
    return made
  }

  guard(response: ServerResponse, answering: Answering): () => void {
    const { call, state } = this.#parts
    const { scope, message, head } = call.detail
    const answer = new McpAnswer(response, {
      reading: {
        call: { message, head },
        scope,
        traffic: state.traffic,
        eraKnown: false,
        note: answering.note,
        redacted: () => undefined,
        refuseToServer: (told) => answering.tell(told, this.#ownHeaders()),
      },
      answering,
      onHead: (status, named) => this.#headSaid(status, named),
      session: (streaming) => this.#toldSession(streaming),
    })
    this.#answer = answer
    this.#answering = answering
    const isListening = message.kind === 'request' && message.method === 'subscriptions/listen'
    if (isListening || this.#isStream) state.streams.add(this)
    return () => answer.give()
  }

  /** Ends the stream that it is. */
  endStream(): void {
    this.#answer?.endStream()
  }

  breakOff(): void {
    this.#answering?.end(deny('session_unknown', 'the session has ended'))
  }

  #headSaid(status: number, named: string | null): void {
    const { call, state } = this.#parts
    const { session, opens, head } = call.detail
    if (session === null) return
    if (opens && status === 200) {
      state.opens = named !== null && SESSION_ID.test(named)
      if (named !== null && state.opens) state.names.set(session, named)
    }
    // What the handler has forgotten we forget, and the caller starts again.
    this.#isLast = (status === 404 && !opens) || (head.method === 'DELETE' && status < 300)
  }

  /** A stream begins before it is known whether the session does. */
  #toldSession(streaming: boolean): string | null {
    const { session, opens } = this.#parts.call.detail
    if (session === null || !opens || !this.#parts.state.names.has(session)) return null
    return streaming || session.version !== null ? session.id : null
  }

  /** Nothing more of the answer passes, on whatever stream; the handler hears that nobody waits. */
  forbidden(answering: Answering): void {
    const { session, scope } = this.#parts.call.detail
    if (scope instanceof ModernRequest || scope instanceof LoneMessage) scope.withhold()
    if (session === null) return
    session.withhold(this.#pending)
    if (this.#pending === null || this.#pending.method === 'initialize') return
    answering.tell(cancellation(this.#pending.id), this.#ownHeaders())
  }

  /** Of a message of our own. */
  #ownHeaders(): Readonly<Record<string, string>> {
    const version = this.#parts.call.detail.session?.version ?? null
    return { ...content, ...this.#sessionHeader(), ...(version === null ? {} : { 'mcp-protocol-version': version }) }
  }

  /** As the handler calls it. */
  #sessionHeader(): Readonly<Record<string, string>> {
    const { call, state } = this.#parts
    const { session } = call.detail
    const name = session === null ? undefined : state.names.get(session)
    return name === undefined ? {} : { [SESSION]: name }
  }

  ended(): void {
    const { call, state } = this.#parts
    const { session, opens } = call.detail
    state.streams.delete(this)
    if (session === null) return
    if (this.#begun) {
      this.#underWay(session).delete(this)
      session.open--
      if (this.#isStream) session.streams--
      if (this.#pending !== null) session.leave(this.#pending)
      state.sessions.touch(session)
    }
    // A handshake that did not settle, or that the handler has answered without a session, leaves nothing behind.
    const isNone = opens && (session.version === null || !state.names.has(session))
    if (isNone || this.#isLast || session.ended) state.sessions.remove(session)
  }
}

function pendingOf({ call, identified }: McpMessageParts): PendingRequest | null {
  const { scope, message } = call.detail
  if (scope instanceof ModernRequest || scope instanceof LoneMessage) return scope.pending
  return message.kind === 'request' ? pendingRequest(message, identified) : null
}
