/**
 * A server behind its circuit and its limits: while the circuit is open, or as many calls are under way as may be, nothing goes
 * there, and whoever calls is told when to come back.
 */

import type { RequestId } from '@doorward/core'
import { lasts } from '@doorward/enforcement'
import type { DenialCode, Permit, McpCall, McpSession } from '@doorward/enforcement'
import type { BoundedCalls } from './bounded-calls.ts'
import type { CallResult, Circuit } from './circuit.ts'
import { failWaiter } from './duplex-session.ts'
import type { ModernUpstream, Reply, ReplyEnd, Upstream, UpstreamSession } from './upstream.ts'

export interface GuardOptions {
  readonly circuit: Circuit
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** The circuit has opened or closed. */
  readonly onChange: () => void
  /** None are counted by default. */
  readonly calls?: BoundedCalls
}

export function guardUpstream(upstream: Upstream, options: GuardOptions): Upstream {
  return {
    name: upstream.name,
    transport: upstream.transport,
    open: (session: McpSession) => new GuardedSession(upstream.open(session), upstream.transport, options),
    modern: upstream.modern === null ? null : guardModern(upstream.modern, upstream.transport, options),
    close: () => upstream.close(),
  }
}

/** What a server does, as against what becomes of a call for other reasons. */
const FAILURES: ReadonlySet<DenialCode> = new Set(['upstream_unavailable', 'upstream_invalid', 'upstream_timeout'])
/** What whatever stands before a server says when the server is not there. */
const ABSENT: ReadonlySet<number> = new Set([502, 503, 504])

function guardModern(modern: ModernUpstream, transport: Upstream['transport'], options: GuardOptions): ModernUpstream {
  return {
    versions: modern.versions,
    forward: (permit, reply) => {
      // That the reply ends is the cancellation.
      if (!mayBegin(permit, reply, options, () => undefined)) return
      // What one caller does to its own process is nobody else's affair.
      if (transport === 'stdio') modern.forward(permit, reply)
      else guard(permit, reply, options, () => modern.forward(permit, reply))
    },
  }
}

/** What keeps a session going takes no place, and streams that last have a limit of their own. */
function mayBegin(
  permit: Permit<McpCall>,
  reply: Reply,
  { calls }: GuardOptions,
  cancel: (id: RequestId) => void,
): boolean {
  const { action, detail } = permit.admitted.authorized.classified.call
  const { message } = detail
  if (calls === undefined || message.kind !== 'request' || action.group === 'session' || lasts(message)) return true
  return calls.begin(reply, (reason) => {
    failWaiter({ id: message.id, reply }, 'upstream_timeout', reason)
    cancel(message.id)
  })
}

function guard(permit: Permit<McpCall>, reply: Reply, options: GuardOptions, forward: () => void): void {
  const { circuit, monotonic, onChange } = options
  const now = monotonic()
  // What lasts would show too late whether the server is back.
  const isStream = lasts(permit.admitted.authorized.classified.call.detail.message)
  const ticket = isStream && circuit.state(now) !== 'closed' ? null : circuit.enter(now)
  if (ticket === null) {
    return reply.fail('upstream_circuit_open', 'nothing is sent to the server', circuit.retryAfterSeconds(now))
  }
  reply.onClose((end) => {
    if (circuit.ended(ticket, resultOf(end, isStream), monotonic())) onChange()
  })
  forward()
}

class GuardedSession implements UpstreamSession {
  readonly #upstream: UpstreamSession
  readonly #transport: Upstream['transport']
  readonly #options: GuardOptions

  constructor(upstream: UpstreamSession, transport: Upstream['transport'], options: GuardOptions) {
    this.#upstream = upstream
    this.#transport = transport
    this.#options = options
  }

  forward(permit: Permit<McpCall>, reply: Reply): void {
    const call = permit.admitted.authorized.classified.call.detail
    if (!mayBegin(permit, reply, this.#options, (id) => this.#upstream.cancel(id))) return
    if (!this.#counts(call)) return this.#upstream.forward(permit, reply)
    guard(permit, reply, this.#options, () => this.#upstream.forward(permit, reply))
  }

  /** A process of one session says nothing about those of others; only that it does not start does. */
  #counts({ message, opens }: McpCall): boolean {
    if (message.kind === 'session-operation' && message.operation === 'end') return false
    return this.#transport !== 'stdio' || opens
  }

  cancel(id: RequestId): void {
    this.#upstream.cancel(id)
  }

  end(): void {
    this.#upstream.end()
  }
}

/** What the end of a call says about its server. */
export function resultOf({ status, code, http }: ReplyEnd, isStream: boolean): CallResult {
  if (status === 'cancelled') return 'nothing'
  if (code !== undefined) return FAILURES.has(code) ? 'failed' : 'nothing'
  if (ABSENT.has(http)) return 'failed'
  return isStream ? 'nothing' : 'good'
}
